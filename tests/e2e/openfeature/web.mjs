// The web SDK with its OFREP provider, which follows the flags by server-sent events: tells every request that it makes
// and every change of the flags, and does what it is told on standard input, one JSON line each:
// {"context"}, or {"kind", "key", "default"}.
import { createInterface } from 'node:readline';
import { EventSource } from 'eventsource';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';

const [baseUrl, headers, context] = process.argv.slice(2);
const tell = (what) => console.log(JSON.stringify(what));
globalThis.EventSource = EventSource;
const fetchImplementation = async (request) => {
  const response = await fetch(request);
  tell({ asked: new URL(request.url ?? request).search, status: response.status });
  return response;
};
const provider = new OFREPWebProvider({ baseUrl, headers: JSON.parse(headers), cacheMode: 'disabled', fetchImplementation });
await OpenFeature.setContext(JSON.parse(context));
await OpenFeature.setProviderAndWait(provider);
const client = OpenFeature.getClient();
client.addHandler(ProviderEvents.ConfigurationChanged, (what) => tell({ changed: what.flagsChanged }));
client.addHandler(ProviderEvents.Stale, () => tell({ stale: true }));
tell({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  if (order.context !== undefined) {
    await OpenFeature.setContext(order.context);
    tell({ context: order.context });
  } else {
    tell(client[`get${order.kind}Details`](order.key, order.default));
  }
}
await OpenFeature.close();
