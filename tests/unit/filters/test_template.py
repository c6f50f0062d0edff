"""Values with templates: what they become, and what never comes out of one."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS
from proxy.filters.field_edit import field_edit
from proxy.filters.site import Site
from proxy.filters.template import Template, template
from proxy.http1 import fields
from proxy.http1.facts import Facts
from proxy.http1.message import CACHE_CONTROL, NO_BODY, ResponseHead

RequestOf = Callable[..., Facts]
BLOCK = b"X-User: ada\r\nAccept: a\r\nAccept: b\r\nX-Pool: forged\r\nAuthorization: Basic x\r\n"


def made(text: str, facts: Facts) -> bytes:
    value = template(text)
    assert isinstance(value, Template)
    return value.make(facts)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{client.ip}", b"192.0.2.7"),
        ("{client.scheme}", b"http"),
        ("{request.method}", b"GET"),
        ("{request.path}", b"/a"),
        ("{request.host}", b"shop.example.com"),
        ("{request.id}", b"id"),
        ("{request.header.x-user}", b"ada"),
        ("{request.header.X-USER}", b"ada"),
        ("{request.header.accept}", b"a, b"),
        ("{request.header.host}", b"shop.example.com"),
        ("{request.header.authorization}", b"Basic x"),
        ("{request.header.x-none}", b""),
        ("{request.cookie.uid}", b"7"),
        ("{request.cookie.UID}", b""),
        ("{route}", b"all"),
        ("{service}", b"shop"),
        ("{pool}", b"blue"),
        ("{service}/{pool}", b"shop/blue"),
        ("a{pool}b", b"ablueb"),
        (" {pool} ", b"blue"),
        ("ü{pool}", "übule".replace("ule", "lue").encode()),
        ('{"pool": "{pool}", "ip": "{client.ip}"}', b'{"pool": "blue", "ip": "192.0.2.7"}'),
        ("{{pool}}={pool}", b"{pool}=blue"),
        ("{{{pool}}}", b"{{pool}}"),
    ],
)
def test_template_becomes_what_it_names(request_of: RequestOf, text: str, value: bytes) -> None:
    request = request_of("/a?q=1", BLOCK, b"a=b; uid=7")
    if text == "{{{pool}}}":  # the inner braces are those that are doubled
        assert template(text) == value.decode()
    else:
        assert made(text, request) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{}", "{}"),
        ("{ pool }", "{ pool }"),
        ("{1}", "{1}"),
        ("{", "{"),
        ("}{", "}{"),
        ('{"a":{"b":1}}', '{"a":{"b":1}}'),
        ("{color:red}", "{color:red}"),
        ("{{pool}}", "{pool}"),
        ("{{no.such-name}}", "{no.such-name}"),
        ("${pool", "${pool"),
    ],
)
def test_other_braces_stand_for_themselves(text: str, value: str) -> None:
    assert template(text) == value


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{pol}", r"did you mean \{pool\}"),
        ("{Pool}", r"did you mean \{pool\}"),
        ("{request.headers.x-user}", r"did you mean \{request.header.NAME\}"),
        ("{request.header}", r"did you mean \{request.header.NAME\}"),
        ("{client.ip.x}", r"did you mean \{client.ip\}"),
        ("{zzz}", r"there is client.ip, .*\{\{zzz\}\} writes the braces"),
        ('{"a": "{user}"}', "is not known"),
        ("{request.header.cookie}", "would pass all cookies on"),
        ("{request.header.Cookie}", "would pass all cookies on"),
        ("{request.header.x-forwarded-for}", r"use \{client.ip\}"),
        ("{request.header.x-request-id}", r"\{request.id\}"),
        ("{request.header.connection}", "framing"),
        ("{request.header.transfer-encoding}", "framing"),
    ],
)
@pytest.mark.parametrize("kind", ["request_headers", "response_headers"])
@pytest.mark.parametrize("how", ["set", "add"])
def test_name_that_means_nothing_here_is_refused(kind: str, how: str, text: str, hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build(kind, {how: {"x-a": text}})


@pytest.mark.parametrize(
    ("kind", "options", "hint"),
    [
        ("request_headers", {"set": {"Host": "{request.header.x-host}"}}, "must not decide it"),
        ("request_headers", {"add": {"cookie": "a={client.ip}"}}, "must not decide it"),
        ("response_headers", {"add": {"x-a": "{request.header.Authorization}"}}, "no response may repeat"),
        ("response_headers", {"set": {"x-a": "{pool}\r\nx: y"}}, "control character"),
        ("request_headers", {"set": {"x-a": "a\r\n"}, "add": {"x-a": "b"}}, "control character"),
    ],
)
def test_value_that_clients_must_not_decide_is_refused(kind: str, options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build(kind, options)


def passed(facts: Facts, options: dict[str, Any]) -> bytes:
    """The block after a request has passed a filter, and its pool is chosen."""
    hooks = FILTERS.build("request_headers", options).compile(Site())
    assert hooks.request is not None
    assert hooks.request.on_request(facts) is None
    if hooks.chosen is not None:
        hooks.chosen(facts)
    return facts.head.block


def test_fields_are_set_and_added_in_order(request_of: RequestOf) -> None:
    options = {"set": {"x-user": "{request.header.x-user}!", "x-a": "1"}, "add": {"x-user": "2"}, "remove": ["accept"]}
    block = passed(request_of(block=b"Accept: */*\r\nX-User: ada\r\n"), options)
    assert fields.items(block) == [(b"x-user", b"ada!"), (b"x-a", b"1"), (b"x-user", b"2")]


def test_value_is_made_of_the_request_as_it_came(request_of: RequestOf) -> None:
    facts = request_of(block=b"X-User: ada\r\n")
    hooks = FILTERS.build("request_headers", {"set": {"x-name": "{request.header.x-user}"}}).compile(Site())
    assert hooks.request is not None
    hooks.request.on_request(facts)
    assert (hooks.chosen, facts.head.block) == (None, b"X-User: ada\r\nx-name: ada\r\n")


@pytest.mark.parametrize("how", ["set", "add"])
def test_value_that_comes_out_empty_leaves_the_field_out(request_of: RequestOf, how: str) -> None:
    block = passed(request_of(block=BLOCK), {how: {"x-none": "{request.header.x-none}", "x-ip": "{client.ip}"}})
    assert block == BLOCK + b"x-ip: 192.0.2.7\r\n"
    emptied = passed(request_of(block=b"X-User: ada\r\n", client=""), {"set": {"x-user": "{client.ip}"}})
    assert emptied == b""


def test_pool_is_told_once_it_is_known_and_never_forged(request_of: RequestOf) -> None:
    hooks = FILTERS.build("request_headers", {"set": {"x-pool": "{service}/{pool}"}, "add": {"x-a": "1"}}).compile(
        Site()
    )
    facts = request_of(block=BLOCK)
    assert hooks.request is not None
    assert hooks.chosen is not None
    hooks.request.on_request(facts)
    assert facts.head.get(b"x-pool") is None
    assert facts.head.get(b"x-a") == b"1"
    hooks.chosen(facts)
    assert facts.head.get_all(b"x-pool") == [b"shop/blue"]


def answered(facts: Facts, options: dict[str, Any], flags: int = 0) -> ResponseHead:
    hooks = FILTERS.build("response_headers", options).compile(Site())
    assert (hooks.request, hooks.chosen) == (None, None)
    assert hooks.response is not None
    head = ResponseHead(200, b"OK", 1, NO_BODY, flags, b"X-Pool: own\r\n", 0)
    hooks.response.on_response(facts, head)
    return head


def test_response_is_told_the_pool(request_of: RequestOf) -> None:
    head = answered(request_of(), {"set": {"x-pool": "{pool}"}, "add": {"x-route": "{route}"}})
    assert head.block == b"x-pool: blue\r\nx-route: all\r\n"
    facts = request_of(pool_name="", route_name="")
    assert answered(facts, {"set": {"x-pool": "{pool}"}, "add": {"x-route": "{route}"}}).block == b""


@pytest.mark.parametrize(("block", "flags"), [(b"x-ttl: max-age=5\r\n", CACHE_CONTROL), (b"", 0)])
def test_flag_of_cache_control_follows_what_comes_out(request_of: RequestOf, block: bytes, flags: int) -> None:
    options = {"set": {"Cache-Control": "{request.header.x-ttl}"}}
    assert answered(request_of(block=block), options, CACHE_CONTROL).flags == flags


@given(
    st.binary(max_size=40), st.sampled_from(["{request.header.x-user}", "a{request.cookie.u}b", "{pool}{client.ip}"])
)
def test_nothing_that_comes_out_can_break_the_message(value: bytes, text: str) -> None:
    """Even where a head holds what no parser lets in."""

    class Head:
        cookie = b"u=" + value

        def get(self, _name: bytes) -> bytes:
            return value

    class Odd:
        head = Head()
        pool_name = client = value.decode("latin-1")

    edit = field_edit({"x-a": text}, {"x-b": "1"}, ())
    block = edit.apply(b"", Odd())  # type: ignore[arg-type]
    assert block.endswith(b"x-b: 1\r\n")
    assert block.count(b"\r\n") == len(fields.items(block)) <= 2
    assert not set(block.replace(b"\r\n", b"")) & {0, 10, 13}


PLAIN = st.text(st.characters(exclude_characters="{}", codec="ascii"), max_size=9)


@given(st.recursive(PLAIN, lambda inner: st.dictionaries(PLAIN, inner, max_size=3), max_leaves=6))
def test_json_stands_for_itself(value: Any) -> None:
    text = json.dumps({"a": value})
    assert template(text) == text
