"""The admin's tokens against each other: each has its own name and its own value."""

from collections.abc import Iterator

from proxy.config.problems import Problem
from proxy.config.tree import Mapping, Scalar, shown


def admin_problems(root: Mapping) -> Iterator[Problem]:
    """Everything that is wrong between the admin's tokens."""
    admin = root.section("admin")
    names: dict[str, Scalar] = {}
    values = set(filter(None, (admin.scalar("token"),)))
    for token in admin.sequence("tokens").mappings():
        name, value = token.scalar("name"), token.scalar("value")
        if name is not None and names.setdefault(name, name) is not name:
            yield name.place.problem(f"two tokens are called {shown(name)}", "the journal must tell them apart")
        if value is not None and value in values:
            yield value.place.problem("two tokens have the same value", "make another one: openssl rand -hex 32")
        values |= {value} if value is not None else set()
