"""What is asked of every proxy: a table of cases, and the requests in wrk's Lua."""

from collections.abc import Sequence
from dataclasses import dataclass

from beside.setting import STICKY, Setting

PLAIN = Setting()


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table. `script` names a Lua text; `only` the proxies that can do it alike."""

    name: str
    title: str
    path: str = "/"
    connections: int = 64
    setting: Setting = PLAIN
    script: str = ""
    fields: Sequence[str] = ()
    only: Sequence[str] = ()


def growth(what: str, counts: Sequence[int]) -> list[Case]:
    """The same requests with more and more of something."""
    cases = []
    for count in counts:
        setting = Setting(routes=count) if what == "routes" else Setting(endpoints=count)
        script = "routes" if what == "routes" else ""
        path = "/r/0/item" if what == "routes" else "/"
        cases.append(Case(f"{what}-{count}", f"{count:,} {what}", path, setting=setting, script=script))
    return cases


CASES = (
    Case("small", "small: a bare GET, 128 bytes back"),
    Case("varied", "varied: browser-like, every request different", script="varied"),
    Case("100k", "100 KiB back", "/files/100k.bin", 16),
    Case("1m", "1 MiB back", "/files/1m.bin", 16),
    Case("post64k", "POST of 64 KiB", script="post64k"),
    Case("c1000", "1,000 connections", connections=1000),
    Case("close", "a connection for each request", fields=("Connection: close",)),
    Case(
        "sticky",
        "varied, sticky by cookie",
        setting=Setting(sticky=True),
        script="varied",
        only=("compiled", "plain", "nginx", "haproxy"),
    ),
    Case("log", "varied, access log on", setting=Setting(log=True), script="varied"),
    Case("workers2", "varied, 2 workers", setting=Setting(workers=2), script="varied"),
    Case("websocket", "WebSocket echo, 64 bytes", "/ws", setting=Setting(echo=True)),
    *growth("routes", (1, 100, 1_000, 10_000)),
    *growth("endpoints", (10, 1_000, 10_000)),
)
SPECIAL = ("flat", "latency", "idle", "start")
QUICK = ("small", "varied")

SCRIPTS = {
    "post64k": 'wrk.method = "POST"\nwrk.body = string.rep("x", 65536)\n',
    # However many routes there are, the paths are 10,000 different ones.
    "routes": """
local number = math.random(0, 9999)
request = function()
  number = (number + 7919) % 10000
  return wrk.format("GET", string.format("/r/%d/item/%d", number % @ROUTES@, number))
end
""",
    # A page of a shop: 2,000 paths, fields in a browser's number and size, about 1 KiB of cookies, none like the last.
    "varied": """
local sessions = {@SESSIONS@}
local engines = {"Chrome/142.0.0.0 Safari/537.36", "Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
  "Version/18.6 Safari/605.1.15", "Chrome/142.0.0.0 Safari/537.36 OPR/125.0.0.0"}
local tongues = {"en-GB,en;q=0.9", "de-AT,de;q=0.9,en;q=0.7", "fr-FR,fr;q=0.9,en-US;q=0.6", "pt-BR,pt;q=0.8"}
local turn = math.random(1, 100000000)
local letters = {}
for each = 1, 64 do
  letters[each] = string.rep(string.char(96 + each % 26 + 1) .. string.char(48 + each % 10), 260)
end
request = function()
  turn = turn + 1
  local fields = {}
  fields["Host"] = "shop.example.com"
  fields["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    .. engines[turn % 4 + 1]
  fields["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
  fields["Accept-Language"] = tongues[turn % 4 + 1]
  fields["Accept-Encoding"] = "gzip, deflate, br, zstd"
  fields["Sec-Fetch-Mode"] = "navigate"
  fields["Sec-Fetch-Site"] = "same-origin"
  fields["Sec-Fetch-Dest"] = "document"
  fields["Referer"] = string.format("https://shop.example.com/list/%d?page=%d", turn % 911, turn % 37)
  if turn % 4 == 0 then fields["If-None-Match"] = string.format('W/"%x"', turn) end
  fields["Cookie"] = string.format("consent=%d; visitor=%08x.%d; @STICKY@=%s; basket=%s%x", turn % 8, turn, turn * 31,
    sessions[turn % #sessions + 1], string.sub(letters[turn % 64 + 1], 1, 420 + turn % 100 * 1), turn * 17)
    .. "; seen=" .. string.sub(letters[(turn + 7) % 64 + 1], 1, 360 + turn % 90)
  return wrk.format("GET", string.format("/goods/%d/item?ref=%x", turn % 2000, turn), fields)
end
""",
}
FOREIGN = [f"{number:032x}" for number in range(200)]
"""Sessions of nobody, where no proxy looks at them."""


def script(case: Case, sessions: Sequence[str]) -> str:
    """The Lua text of the case; empty without one."""
    text = SCRIPTS.get(case.script, "")
    listed = ",".join(f'"{each}"' for each in sessions or FOREIGN)
    for mark, value in (("@SESSIONS@", listed), ("@STICKY@", STICKY), ("@ROUTES@", str(case.setting.routes))):
        text = text.replace(mark, value)
    return text


BROWSER = (
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Sec-Fetch-Mode: navigate",
    f"Cookie: consent=1; basket={'ab' * 200}; seen={'cd' * 200}",
)
"""What h2load sends with each of 2,000 paths: it can't vary fields."""
