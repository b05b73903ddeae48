"""Tokens in place of texts: which values are structure and stay, which families share tokens, how they are drawn."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from traceanalytics.semconv import TABLE, spellings
from traceanalytics.spans.schema import is_attribute_column, matches_any, scope_and_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = ["STRUCTURE", "Masks"]

_GRPC: Final = (
    r"(?i)\s*(statuscode\.)?(ok|cancell?ed|unknown|invalid_argument|deadline_exceeded|not_found|already_exists|permission_denied|"
    r"resource_exhausted|failed_precondition|aborted|out_of_range|unimplemented|internal|unavailable|data_loss|unauthenticated|"
    r"-?\d{1,5})\s*"
)

STRUCTURE: Final[dict[str, str]] = {
    "http.request.method": r"GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|QUERY|_OTHER",
    "http.response.status_code": r"\s*-?\d{1,5}\s*",
    "http.request.resend_count": r"\d{1,3}",
    "rpc.response.status_code": _GRPC,
    "rpc.system.name": r"grpc|connect_?rpc|jsonrpc|java_rmi|dotnet_wcf|apache_dubbo|dubbo|thrift",
    "url.scheme": r"https?|wss?|ftp|telnet",
    "network.transport": r"tcp|udp|pipe|unix|quic|ip_tcp|ip_udp|inproc",
    "network.type": r"ipv4|ipv6",
    "network.protocol.name": r"(?i)http|spdy|quic|amqp|mqtt|kafka|grpc",
    "network.protocol.version": r"[0-9](\.[0-9])?",
    "db.system.name": (
        r"other_sql|(microsoft\.)?sql_?server|mssql|mysql|mariadb|postgresql|(oracle\.)?db|oracle|(ibm\.)?db2|sqlite|h2|hsqldb|derby|"
        r"firebird(sql)?|cockroachdb|clickhouse|(aws\.)?dynamodb|(aws\.)?redshift|(azure\.)?cosmosdb|cassandra|couchbase|couchdb|"
        r"elasticsearch|opensearch|geode|hbase|hive|influxdb|memcached|mongodb|neo4j|redis|spanner|(gcp\.)?spanner|teradata|trino|"
        r"vertica|sap\.hana|hanadb|informix|progress"
    ),
    "messaging.system": (
        r"activemq|aws_sqs|aws\.sns|AmazonSQS|AmazonSNS|eventgrid|eventhubs|servicebus|gcp_pubsub|jms|kafka|rabbitmq|rocketmq|pulsar|nats"
    ),
    "messaging.operation.type": r"create|send|receive|process|settle|publish|deliver",
    "error.type": rf"_OTHER|timeout|[1-5]\d\d|{_GRPC.removeprefix('(?i)')}",
    "opentracing.ref_type": r"child_of|follows_from",
    "exception.escaped": r"(?i)true|false",
    "error": r"(?i)true|false",
    "span.kind": r"(?i)internal|server|client|producer|consumer|unspecified",
    "otel.status_code": r"(?i)ok|error|unset",
}
"""Newest key -> a pattern of the values that stay: what the conventions list, and numbers of statuses. Any other is masked."""

_FITS: Final = {key: re.compile(pattern) for key, pattern in STRUCTURE.items()}

_FAMILY: Final = {
    "service.name": "service",
    "service.peer.name": "service",
    "server.address": "service",
    "scope_name": "scope",
}
"""Core column or newest key -> the family of values that it shares tokens with; any other key is a family of its own."""

_PREFIX: Final = {"name": "operation", "status_message": "message", "scope_version": "version"}

_NAMESPACES: Final = frozenset(
    re.findall(
        r"\w+",
        "aws azure browser cicd client cloudevents cpu device disk dns error event exception gcp graphql heroku host internal k8s "
        "linux log message opentracing os peer process sampler sampling session source span system thread w3c webengine",
    )
) | frozenset(key.partition(".")[0] for line in TABLE for key in line if "." in key)
"""First parts of the keys that conventions and common tools define."""

_OPEN_ENDED: Final = re.compile(
    r"\.(header|metadata|label|annotation|environment_variable|tag|property|properties|attribute)s?\.|lambda\.arn\."
)
_PARTS: Final = 5
"""No key of the conventions has more parts."""
_EVENT_NAMES: Final = frozenset(["exception", "message", "log", "error"])
_YEAR: Final = 31_536_000


class Masks:
    """What stays and what becomes which token, by one secret."""

    def __init__(self, secret: bytes, keep: tuple[str, ...]) -> None:
        key = hashlib.blake2b(secret, digest_size=32, person=b"traceanalytics").digest()
        self._keyed = hashlib.blake2b(key=key, digest_size=64)
        self._short = hashlib.blake2b(b"span id\0", key=key, digest_size=8)
        self._keep = keep
        self._known: dict[tuple[str, str], str] = {}

    def keeps(self, name: str) -> bool:
        """Tell whether the user keeps a column, or an attribute of an event or link (``event.exception.type``)."""
        return matches_any(name, self._keep)

    def keeps_item(self, kind: str, key: str) -> bool:
        """Tell whether the user keeps an attribute of events or links."""
        return self.keeps(f"{kind}s") or self.keeps(f"{kind}.{key}") or self.keeps(key)

    def digits(self, family: str, value: str) -> str:
        """Return 128 hex digits that only the secret leads to."""
        found = self._keyed.copy()
        found.update(f"{family}\0{value}".encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    def seconds(self) -> int:
        """Return the shift of time, from one year to twenty."""
        return _YEAR + int(self.digits("shift", ""), 16) % (19 * _YEAR)

    def trace_ids(self, labels: Iterable[str]) -> list[str]:
        """Return re-keyed trace ids, of the same lengths."""
        return [self.trace_id(label) for label in labels]

    def trace_id(self, label: str) -> str:
        """Return one re-keyed trace id."""
        return self.digits("trace id", label)[: _id_digits(label)]

    def span_ids(self, labels: Iterable[str]) -> list[str]:
        """Return re-keyed span ids, of the same lengths."""
        copy = self._short.copy
        made = []
        for label in labels:  # there is one a span, so this is span_id written out
            if len(label) > 16:
                made.append(self.span_id(label))
                continue
            found = copy()
            found.update(label.encode("utf-8", "surrogatepass"))
            made.append(found.hexdigest())
        return made

    def span_id(self, label: str) -> str:
        """Return one re-keyed span id."""
        if len(label) > 16:
            return self.digits("span id", label)[: _id_digits(label)]
        return self.span_ids([label])[0]

    def token(self, family: str, prefix: str, value: str) -> str:
        """Return the token of a value."""
        made = self._known.get((family, value))
        if made is None:
            made = self._known[family, value] = self.digits(family, value)[:12]
        return f"{prefix}-{made}"

    def tokens(self, labels: Iterable[str], name: str) -> list[str]:
        """Return the tokens of values of a core column."""
        family = _FAMILY.get(name, name)
        prefix = _PREFIX.get(name, family)
        return [self.token(family, prefix, label) for label in labels]

    def values(self, labels: Iterable[Any], name: str) -> list[str]:
        """Return what values of an attribute become."""
        return [self.value(str(label), name) for label in labels]

    def value(self, text: str, name: str) -> str:
        """Return what one value of an attribute becomes: itself if it is structure, else its token."""
        newest = spellings(scope_and_key(name)[1])[0]
        fits = _FITS.get(newest)
        if fits is not None and fits.fullmatch(text):
            return text
        family = _FAMILY.get(newest, newest)
        return self.token(family, "service" if family == "service" else "value", text)

    def is_structure(self, name: str) -> bool:
        """Tell whether values of an attribute can stay as they are."""
        return spellings(scope_and_key(name)[1])[0] in _FITS

    def all_fit(self, name: str, column: pd.Series) -> bool:
        """Tell whether every value of a column is structure, so that the column can stay, with its type."""
        fits = _FITS[spellings(scope_and_key(name)[1])[0]]
        return all(fits.fullmatch(_as_text(value)) for value in column.dropna().unique().tolist())

    def column(self, name: str) -> str:
        """Return the name of an attribute's column: its own if it is of the conventions, else a token."""
        scope, key = scope_and_key(name)
        return f"{scope}.{self.key(key)}" if is_attribute_column(name) else self.key(key)

    def key(self, key: str) -> str:
        """Return the key of an attribute: its own if it lies in a namespace of the conventions and names nothing further."""
        known = len(spellings(key)) > 1 or key in _FITS
        parts = key.split(".")
        plain = parts[0] in _NAMESPACES and 1 < len(parts) <= _PARTS and not _OPEN_ENDED.search(key)
        return key if known or plain else f"key-{self.digits('key', key)[:12]}"

    def event_name(self, name: str) -> str:
        """Return the name of an event: its own if it is a common one, else a token."""
        return name if name in _EVENT_NAMES else self.token("event name", "event", name)


def _as_text(value: Any) -> str:
    """Return a value as text; a float that is a whole number as that."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _id_digits(label: str) -> int:
    """Return how many digits an id gets: as many as before, but short ones (1, 2, ...) would soon collide."""
    return max(16, min(len(label), 128))
