// The server SDK with the OFREP provider: asks for the flags that it is told on standard input, one JSON line each
// {"kind", "key", "default", "context"}, and tells what it was answered.
import { createInterface } from 'node:readline';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';

const [baseUrl, headers] = process.argv.slice(2);
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers: JSON.parse(headers) }));
const client = OpenFeature.getClient();
for await (const line of createInterface({ input: process.stdin })) {
  const { kind, key, default: fallback, context } = JSON.parse(line);
  const found = await client[`get${kind}Details`](key, fallback, context);
  console.log(JSON.stringify(found));
}
await OpenFeature.close();
