"""One flag for one context: which variant, why, and what error (flagd's evaluation, OpenFeature's codes)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.flags.coercion import RuleError, exact, text_of
from proxy.flags.engine import Rule

STATIC, DEFAULT, DISABLED = "STATIC", "DEFAULT", "DISABLED"
TARGETING_MATCH, ERROR = "TARGETING_MATCH", "ERROR"
FLAG_NOT_FOUND, PARSE_ERROR, GENERAL = "FLAG_NOT_FOUND", "PARSE_ERROR", "GENERAL"


@dataclass(slots=True)
class Evaluation:
    """What came out for one flag. Without a variant the caller's own default applies, and `value` means nothing.

    Most are made once per variant and shared: never change one.
    """

    value: Any = None
    variant: str | None = None
    reason: str = DEFAULT
    error_code: str | None = None
    error: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Flag:
    """A flag ready to be evaluated. `problem` says why its rule could not be compiled; it then gives PARSE_ERROR."""

    key: str
    variants: Mapping[str, Any]
    default: str | None = None
    enabled: bool = True
    targeting: Any = None
    rule: Rule | None = None
    problem: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reads_time: bool = False
    _matched: dict[str, Evaluation] = field(default_factory=dict)
    _default: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        self._matched = {
            name: Evaluation(value, name, TARGETING_MATCH, metadata=self.metadata)
            for name, value in self.variants.items()
        }
        self._default = self._without_rule()

    def _without_rule(self) -> Evaluation:
        if not self.enabled:
            return Evaluation(reason=DISABLED, metadata=self.metadata)
        if self.default is None:
            return Evaluation(metadata=self.metadata)
        reason = STATIC if self.rule is None else DEFAULT
        return Evaluation(self.variants[self.default], self.default, reason, metadata=self.metadata)

    def evaluate(self, context: Mapping[str, Any], now: float) -> Evaluation:
        """The flag's outcome for a context at `now` (Unix seconds). Raises nothing."""
        if not self.enabled:
            return self._default
        if self.problem:
            return self._failed(PARSE_ERROR, self.problem)
        if self.rule is None:
            return self._default
        return self.apply(self.rule, context, now)

    def apply(self, rule: Rule, context: Mapping[str, Any], now: float) -> Evaluation:
        """What `rule`, compiled for this flag, makes of the context."""
        data = {**context, "$flagd": {"flagKey": self.key, "timestamp": int(now)}}
        try:
            name = rule(data)
        except RuleError as error:
            return self._failed(GENERAL, str(error))
        except (RecursionError, OverflowError, MemoryError) as error:
            return self._failed(GENERAL, f"the rule's work on this context is out of bounds: {type(error).__name__}")
        if name is None:
            return self._default
        found = self._matched.get(name) if type(name) is str else self._named(name)
        return found or self._failed(GENERAL, f"the rule's outcome {_shown(name)} is no variant of this flag")

    def _named(self, name: Any) -> Evaluation | None:
        if not isinstance(name, (bool, int, float)):
            return None
        return self._matched.get(text_of(name if isinstance(name, bool) else exact(name)))

    def _failed(self, code: str, error: str) -> Evaluation:
        return Evaluation(reason=ERROR, error_code=code, error=error, metadata=self.metadata)


def _shown(name: Any) -> str:
    return repr(name[:64]) if isinstance(name, str) else f"of type {type(name).__name__}"
