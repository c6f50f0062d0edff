"""The same job in each proxy's own language: a 90:10 split of kept-alive connections between two pools.

Each function writes its files into the place's folder and returns the arguments that follow the program's name. All
are set as a careful operator would: one worker unless the case says more, no access log unless it does, upstream
connections kept, bodies not written to disk.
"""

import json
import os

from beside.setting import SHARES, STICKY, Place, Setting, prefixes


def ours(setting: Setting, place: Place) -> list[str]:
    """Sluicegate, with all that is on by default."""
    pools = {name: {"endpoints": found} for name, found in place.pools(setting).items()}
    service: dict[str, object] = {"pools": pools, "split": SHARES, "limits": {"connections": 4096}}
    if setting.sticky:
        service["sticky"] = {"cookie": STICKY}
    matches = [{"match": {"path": f"{prefix}*"}, "service": "bench"} for prefix in prefixes(setting)]
    document: dict[str, object] = {
        "listeners": [{"bind": f"127.0.0.1:{place.port}"}],
        "admin": {"bind": f"127.0.0.1:{place.admin}"},
        "workers": setting.workers,
        "store": {"path": str(place.folder / "store")},
        "cookie_keys": ["the-benchmark-has-the-same-for-both-builds"],
        "shutdown": {"idle": "0s", "grace": "1s"},
        "services": {"bench": service},
        "routes": matches or [{"service": "bench"}],
    }
    if setting.log:
        document["access_log"] = {"path": str(place.folder / "access.log"), "format": "combined"}
    # A document in JSON is one in YAML as well.
    return ["-m", "proxy", "run", place.write("sluice.yaml", json.dumps(document, indent=1))]


def nginx(setting: Setting, place: Place) -> list[str]:
    """nginx: split_clients by request, or by the session's cookie."""
    key = f"$cookie_{STICKY}" if setting.sticky else "$remote_addr$remote_port$request_id"
    kept = max(256, setting.endpoints)
    upstreams = "\n".join(
        f" upstream {name} {{ {' '.join(f'server {each};' for each in found)} keepalive {kept};"
        " keepalive_requests 100000000; }"
        for name, found in place.pools(setting).items()
    )
    upgrade = (
        "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
        if setting.echo
        else 'proxy_set_header Connection "";'
    )
    log = f"access_log {place.folder}/access.log combined buffer=64k flush=1s;" if setting.log else "access_log off;"
    locations = "\n  ".join(f"location {p} {{ proxy_pass http://$pool; }}" for p in prefixes(setting) or ["/"])
    text = f"""{user()} worker_processes {setting.workers}; daemon off; pid nginx.pid; error_log /dev/null crit;
events {{ worker_connections 32768; }}
http {{ {log} keepalive_requests 100000000; client_max_body_size 0; client_body_buffer_size 128k;
{TEMPORARY}
 proxy_buffer_size 16k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;
 proxy_http_version 1.1; proxy_set_header Host $host; {upgrade}
 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
{upstreams}
 split_clients "{key}" $pool {{ 90% blue; * green; }}
 server {{ listen 127.0.0.1:{place.port} backlog=4096;
  {locations}
 }}
}}
"""
    return ["-p", str(place.folder), "-c", place.write("nginx.conf", text)]


TEMPORARY = " ".join(f"{name}_temp_path t_{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


def user() -> str:
    """Workers of a master that root started stay root's, or they could not read our folder."""
    return "user root;" if os.geteuid() == 0 else ""


def haproxy(setting: Setting, place: Place) -> list[str]:
    """HAProxy: the split by the servers' weights."""
    pools = place.pools(setting)
    if setting.sticky:
        balance = f"hash req.cook({STICKY})\n hash-type consistent"
    else:
        balance = "roundrobin" if setting.endpoints < 4000 else "random"  # roundrobin takes 4,095 at most
    servers = "\n".join(
        f" server {name}{number} {address} weight {SHARES[name]}"
        for name, found in pools.items()
        for number, address in enumerate(found)
    )
    found = prefixes(setting)
    if found:
        table = place.write("routes.map", "".join(f"{prefix} pools\n" for prefix in found))
        backend = f"use_backend %[path,map_beg({table},none)]"
    else:
        backend = "default_backend pools"
    log = " log stdout format raw local0\n option httplog\n" if setting.log else ""
    text = f"""global
 nbthread {setting.workers}
 maxconn {min(20_000, (place.files - 500) // 2)}
defaults
 mode http
{log} timeout connect 5s
 timeout client 75s
 timeout server 75s
 timeout tunnel 1h
 option forwardfor
 http-reuse always
frontend in
 bind 127.0.0.1:{place.port} backlog 4096
 {backend}
backend pools
 balance {balance}
{servers}
backend none
"""
    return ["-db", "-f", place.write("haproxy.cfg", text)]


def envoy(setting: Setting, place: Place) -> list[str]:
    """Envoy: weighted clusters."""
    shares = [{"name": name, "weight": weight} for name, weight in SHARES.items()]
    route = {"weighted_clusters": {"clusters": shares}}
    http = "type.googleapis.com/envoy.extensions"
    handler: dict[str, object] = {
        "@type": f"{http}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": p}, "route": route} for p in prefixes(setting) or ["/"]],
                }
            ]
        },
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{http}.filters.http.router.v3.Router"}}
        ],
    }
    if setting.echo:
        handler["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    if setting.log:
        log = {"@type": f"{http}.access_loggers.file.v3.FileAccessLog", "path": str(place.folder / "access.log")}
        handler["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": log}]
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": handler}]}
    document = {
        "static_resources": {
            "listeners": [{"address": socket_address(f"127.0.0.1:{place.port}"), "filter_chains": [chain]}],
            "clusters": [cluster(name, found) for name, found in place.pools(setting).items()],
        }
    }
    path = place.write("envoy.json", json.dumps(document))
    return ["-c", path, "--concurrency", str(setting.workers), "-l", "off", "--use-dynamic-base-id"]


def socket_address(address: str) -> dict[str, object]:
    """An address as Envoy writes it."""
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def cluster(name: str, found: list[str]) -> dict[str, object]:
    """A pool as Envoy writes it, with room for every connection."""
    most = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), 32768)
    endpoints = [{"endpoint": {"address": socket_address(each)}} for each in found]
    return {
        "name": name,
        "connect_timeout": "1s",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def traefik(setting: Setting, place: Place) -> list[str]:
    """Traefik: a weighted service over two load balancers."""
    rules = prefixes(setting) or ["/"]
    services: dict[str, object] = {
        name: {"loadBalancer": {"servers": [{"url": f"http://{each}"} for each in found]}}
        for name, found in place.pools(setting).items()
    }
    weighted = [{"name": name, "weight": weight} for name, weight in SHARES.items()]
    services["split"] = {"weighted": {"services": weighted}}
    routers = {
        f"r{number}": {"entryPoints": ["in"], "rule": f"PathPrefix(`{prefix}`)", "service": "split"}
        for number, prefix in enumerate(rules)
    }
    routing = place.write("routing.yaml", json.dumps({"http": {"routers": routers, "services": services}}))
    static: dict[str, object] = {
        "entryPoints": {"in": {"address": f"127.0.0.1:{place.port}"}},
        "providers": {"file": {"filename": routing, "watch": False}},
        "serversTransport": {"maxIdleConnsPerHost": 512},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR"},
    }
    if setting.log:
        static["accessLog"] = {"filePath": str(place.folder / "access.log"), "bufferingSize": 100}
    return [f"--configFile={place.write('traefik.yaml', json.dumps(static))}"]


def caddy(setting: Setting, place: Place) -> list[str]:
    """Caddy: a weighted round robin over all endpoints."""
    pools = place.pools(setting)
    weights = " ".join(str(SHARES[name]) for name, found in pools.items() for _ in found)
    proxy = (
        f"reverse_proxy {' '.join(each for found in pools.values() for each in found)} {{\n"
        f"lb_policy weighted_round_robin {weights}\ntransport http {{\nkeepalive_idle_conns_per_host 512\n}}\n}}"
    )
    found = prefixes(setting)
    routes = "\n".join(f"handle {prefix}* {{\nimport pools\n}}" for prefix in found) or "import pools"
    log = f"log {{\noutput file {place.folder}/access.log\n}}\n" if setting.log else ""
    text = (
        "{\nadmin off\nauto_https off\nlog {\nlevel ERROR\n}\n}\n"
        f"(pools) {{\n{proxy}\n}}\nhttp://:{place.port} {{\nbind 127.0.0.1\n{log}{routes}\n}}\n"
    )
    # With a global level of ERROR an access log, which is INFO, needs its own logger.
    if setting.log:
        text = text.replace("log {\nlevel ERROR\n}\n", "", 1)
    return ["run", "--config", place.write("Caddyfile", text), "--adapter", "caddyfile"]
