"""The example files of the repository: each loads, and each is what the schema for editors describes."""

from configparser import ConfigParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from proxy.config.load import load, load_text
from proxy.config.root import Root
from proxy.config.schema import schema
from proxy.config.tree import plain_data
from proxy.config.yaml import parse
from proxy.snapshot import document as doc

FOLDER = Path(__file__).parents[3] / "config"
EXAMPLES = sorted(set(FOLDER.glob("*.yaml")) - {FOLDER / "alerts.yaml"})  # those are rules for Prometheus
NAMES = (
    *("blue-green", "canary", "container", "demo", "edge", "flags", "limits", "minimal", "mirror", "policy"),
    *("reference", "rolling", "rollouts", "routing", "sticky"),
)


def data(text: str) -> Any:
    """What an editor sees: nothing substituted."""
    tree = parse(text.replace("${", "$${"), "f", {}).tree
    assert tree is not None
    return plain_data(tree)


def test_every_example_is_there() -> None:
    assert tuple(path.stem for path in EXAMPLES) == NAMES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_loads_without_problems(path: Path) -> None:
    loaded = load(path, {})
    assert loaded.problems == []
    assert loaded.document is not None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_fits_the_schema(path: Path) -> None:
    Draft202012Validator(schema()).validate(data(path.read_text()))


def deployed() -> dict[str, str]:
    """Configurations inside other files: of the compose example, and of every ConfigMap."""
    found = {"compose": (FOLDER / "compose/sluice/sluice.yaml").read_text()}
    for path in sorted((FOLDER / "kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] == "ConfigMap":
                found[path.stem] = document["data"]["sluice.yaml"]
    return found


@pytest.mark.parametrize("name", ["compose", "edge", "sidecar"])
def test_configuration_of_a_deployment_loads(name: str, tmp_path: Path) -> None:
    path = tmp_path / "sluice.yaml"
    path.write_text(deployed()[name])
    loaded = load(path, {"SLUICE_TOKEN": "t" * 32, "SLUICE_COOKIE_KEY": "k" * 32})
    assert loaded.problems == []


def test_pod_gets_the_time_that_its_shutdown_takes() -> None:
    for path in sorted((FOLDER / "kubernetes").glob("*.yaml")):
        documents = list(yaml.safe_load_all(path.read_text()))
        (pod,) = [each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment"]
        (config,) = [each["data"]["sluice.yaml"] for each in documents if each["kind"] == "ConfigMap"]
        settings = Root.model_validate(parse(config, "f", {"SLUICE_TOKEN": "t", "SLUICE_COOKIE_KEY": "k" * 32}).tree)
        shutdown = settings.shutdown
        assert pod["terminationGracePeriodSeconds"] >= shutdown.delay + shutdown.grace + 5


def test_compose_gives_the_proxy_its_folder_and_the_time_that_its_end_takes() -> None:
    composed = yaml.safe_load((FOLDER / "compose/compose.yaml").read_text())
    services = composed["services"]
    document = load(FOLDER / "compose/sluice/sluice.yaml", {}).document
    assert document is not None
    seconds = int(services["proxy"]["stop_grace_period"].removesuffix("s"))
    assert seconds >= document.shutdown.delay + document.shutdown.grace + 5
    assert [volume.partition(":")[0] for volume in services["proxy"]["volumes"]] == ["./sluice", *composed["volumes"]]
    published = {port.rpartition(":")[2] for port in services["proxy"]["ports"]}
    assert published == {"8080", "9901"}
    listened = {
        f"{colour}:{each['command'][1].rpartition(':')[2]}" for colour, each in services.items() if colour != "proxy"
    }
    assert listened == {end.address for pool in document.services[0].pools for end in pool.endpoints}


def test_manifests_probe_where_the_proxy_answers_and_mount_folders() -> None:
    for path in sorted((FOLDER / "kubernetes").glob("*.yaml")):
        documents = list(yaml.safe_load_all(path.read_text()))
        (pod,) = [each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment"]
        (config,) = [each["data"]["sluice.yaml"] for each in documents if each["kind"] == "ConfigMap"]
        tree = yaml.safe_load(config)
        (proxy,) = [each for each in pod["containers"] if each["name"] == "sluice"]
        ports = {port["name"]: port["containerPort"] for port in proxy["ports"]}
        probes = {kind: proxy[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
        assert {kind: each["path"] for kind, each in probes.items()} == {
            "startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz",
        }  # fmt: skip
        assert {tree["status"]["bind"]} == {f"0.0.0.0:{ports[each['port']]}" for each in probes.values()}
        assert [each["bind"] for each in tree["listeners"]] == [f"0.0.0.0:{ports['http']}"]
        assert {each["mountPath"]: "subPath" in each for each in proxy["volumeMounts"]} == {
            "/etc/sluice": False, "/var/lib/sluice": False,
        }  # fmt: skip


def unit(name: str) -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.read_string((FOLDER / "systemd" / name).read_text())
    return parser


def test_systemd_unit_starts_us_reloads_us_and_waits_for_our_end() -> None:
    service = unit("sluice.service")["Service"]
    assert service["ExecStart"].split()[1:] == ["run", "/etc/sluice/sluice.yaml"]
    assert (service["Type"], service["ExecReload"]) == ("notify", "/bin/kill -HUP $MAINPID")
    shutdown = doc.Shutdown()
    assert int(service["TimeoutStopSec"]) >= shutdown.delay + shutdown.grace + 5
    assert service["StateDirectory"] == "sluice"


def test_systemd_socket_is_an_address_that_a_listener_may_have() -> None:
    address = unit("sluice.socket")["Socket"]["ListenStream"]
    text = f"listeners: [{{bind: {address}}}]\nroutes: [{{respond: {{status: 200}}}}]"
    assert load_text(text, "f", {}).problems == []


EXPLAINED = sorted(path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".json", ".pyc"))


@pytest.mark.parametrize("path", EXPLAINED, ids=lambda path: str(path.relative_to(FOLDER)))
def test_example_says_at_its_top_what_it_is(path: Path) -> None:
    assert path.read_text().startswith(("# ", '"""'))


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


BAD = [
    ("listeners:", "listenrs:"),
    ("bind: 0.0.0.0:8080", "bnd: 0.0.0.0:8080"),
    ("head: 32KiB", "head: 32kB"),
    ("keep_alive: 75s", "keep_alive: 75"),
    ("connections: 20000", "connections: 0"),
    ("max_share: 50%", "max_share: half"),
    ("on_change: move", "on_change: stay"),
    ("balance: least_requests", "balance: fastest"),
    ("weight: 1", "weight: 0"),
    ("endpoints: [127.0.0.1:9004]", "endpoints: []"),
    ("match: {path: /teapot}", "match: {pth: /teapot}"),
    ("status: 418", "status: [418]"),
    ("status: 308", "status: 309"),
    ("- rewrite:", "- rewrit:"),
    ("otherwise: split", "otherwise: any"),
    ("cookies: {beta: {prefix:", "cookies: {beta: {begins:"),
]


@pytest.mark.parametrize(("old", "new"), BAD)
def test_schema_refuses_what_is_wrong(old: str, new: str) -> None:
    text = (FOLDER / "reference.yaml").read_text()
    assert old in text
    assert not Draft202012Validator(schema()).is_valid(data(text.replace(old, new, 1)))


def test_schema_tells_defaults_as_they_are_written() -> None:
    defs = schema()["$defs"]
    assert defs["Timeouts"]["properties"]["response"]["default"] == "1m"
    assert defs["Timeouts"]["properties"]["total"]["default"] == "off"
    assert defs["ListenerLimits"]["properties"]["head"]["default"] == "32KiB"
    assert defs["Retry"]["properties"]["budget"]["default"] == "20%"
    assert defs["Health"]["properties"]["expect"]["default"] == "200-399"
    assert defs["Service"]["properties"]["balance"]["default"] == "least_requests"


def test_schema_describes_every_key() -> None:
    sections = {
        "Listener",
        "ListenerLimits",
        "Admin",
        "Service",
        "Pool",
        "Route",
        "Match",
        "Filter",
        "Retry",
        "Timeouts",
    }
    for name in sections:
        for key, node in schema()["$defs"][name]["properties"].items():
            assert "description" in node or "$ref" in node, f"{name}.{key}"


def test_reference_shows_the_defaults() -> None:
    document = load(FOLDER / "reference.yaml", {}).document
    assert document is not None
    service = document.services[0]
    assert document.listeners[0].limits == doc.ListenerLimits()
    assert (document.shutdown, document.restart_grace, document.dns_interval) == (doc.Shutdown(), 3600.0, 5.0)
    assert service.sticky == doc.Sticky(cookie="sluice_shop")
    assert service.health == doc.Health("/healthz")
    assert service.ejection == doc.Ejection()
    assert (service.retry, service.timeouts, service.limits) == (doc.Retry(), doc.Timeouts(), doc.Limits())
    assert service.balance == doc.Plugin("least_requests")


def test_reference_has_every_key() -> None:
    document = data((FOLDER / "reference.yaml").read_text())
    service = document["services"]["shop"]
    defs = schema()["$defs"]
    assert set(schema()["properties"]) <= set(document)
    assert set(defs["Service"]["properties"]) == set(service)
    assert set(defs["ListenerLimits"]["properties"]) == set(document["listeners"][0]["limits"])
    assert set(defs["Match"]["properties"]) == set(document["routes"][0]["match"])
    assert {key for route in document["routes"] for key in route} == set(defs["Route"]["properties"])
    for key, section in {"sticky": "Sticky", "health": "Health", "ejection": "Ejection", "retry": "Retry"}.items():
        assert set(defs[section]["properties"]) - {"key"} == set(service[key])


def test_document_of_an_example_crosses_process_boundaries() -> None:
    document = load(FOLDER / "routing.yaml", {}).document
    assert msgspec.json.decode(msgspec.json.encode(document), type=doc.Document) == document
