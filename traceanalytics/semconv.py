"""One table of newer and older attribute names of OpenTelemetry's semantic conventions.

Services of one system are instrumented in different years, so one trace holds ``http.request.method`` beside
``http.method``. Each line of the table is one attribute, its newest name first. Sources: the migration guides of the
OpenTelemetry semantic conventions (HTTP, network, database, messaging, RPC, code) and the notes of deprecation in their
attribute registry (version 1.37 and before). Only names are translated, never values: "1.1" stays "1.1".
"""

from __future__ import annotations

from typing import Final

__all__ = ["TABLE", "meanings", "spellings"]

_NOT_CLIENTS: Final = frozenset({"SERVER", "CONSUMER"})
_NOT_SERVERS: Final = frozenset({"CLIENT", "PRODUCER", "INTERNAL", "UNSPECIFIED"})

TABLE: Final[tuple[tuple[str, ...], ...]] = (
    # HTTP and URL
    ("http.request.method", "http.method"),
    ("http.response.status_code", "http.status_code"),
    ("http.request.body.size", "http.request_content_length_uncompressed", "http.request_content_length"),
    ("http.response.body.size", "http.response_content_length_uncompressed", "http.response_content_length"),
    ("http.request.resend_count", "http.resend_count"),
    ("url.full", "http.url"),
    ("url.scheme", "http.scheme"),
    ("user_agent.original", "http.user_agent"),
    # Network
    ("server.address", "net.host.name", "net.peer.name", "http.server_name", "http.host", "tls.client.server_name"),
    ("server.port", "net.host.port", "net.peer.port"),
    ("client.address", "http.client_ip", "net.peer.name"),
    ("client.port", "net.peer.port"),
    ("network.peer.address", "net.sock.peer.addr", "net.peer.ip"),
    ("network.peer.port", "net.sock.peer.port"),
    ("network.local.address", "net.sock.host.addr", "net.host.ip"),
    ("network.local.port", "net.sock.host.port"),
    ("network.transport", "net.transport"),
    ("network.type", "net.sock.family"),
    ("network.protocol.name", "net.protocol.name", "net.app.protocol.name"),
    ("network.protocol.version", "net.protocol.version", "net.app.protocol.version", "http.flavor"),
    ("network.connection.type", "net.host.connection.type"),
    ("network.connection.subtype", "net.host.connection.subtype"),
    ("network.carrier.name", "net.host.carrier.name"),
    # Databases
    ("db.system.name", "db.system", "db.type"),
    ("db.query.text", "db.statement"),
    ("db.operation.name", "db.operation"),
    ("db.namespace", "db.name", "db.redis.database_index", "db.elasticsearch.cluster.name", "db.instance"),
    (
        "db.collection.name",
        "db.sql.table",
        "db.mongodb.collection",
        "db.cassandra.table",
        "db.cosmosdb.container",
    ),
    ("db.response.status_code", "db.cosmosdb.status_code"),
    ("db.client.connection.pool.name", "db.client.connections.pool.name"),
    ("db.client.connection.state", "db.client.connections.state"),
    ("cassandra.consistency.level", "db.cassandra.consistency_level"),
    ("cassandra.coordinator.dc", "db.cassandra.coordinator.dc"),
    ("cassandra.coordinator.id", "db.cassandra.coordinator.id"),
    ("cassandra.page.size", "db.cassandra.page_size"),
    ("cassandra.query.idempotent", "db.cassandra.idempotence"),
    ("cassandra.speculative_execution.count", "db.cassandra.speculative_execution_count"),
    ("azure.cosmosdb.connection.mode", "db.cosmosdb.connection_mode"),
    ("azure.cosmosdb.consistency.level", "db.cosmosdb.consistency_level"),
    ("azure.cosmosdb.operation.request_charge", "db.cosmosdb.request_charge"),
    ("azure.cosmosdb.response.sub_status_code", "db.cosmosdb.sub_status_code"),
    ("azure.client.id", "db.cosmosdb.client_id"),
    ("elasticsearch.node.name", "db.elasticsearch.node.name"),
    # Messaging
    ("messaging.destination.name", "messaging.destination"),
    ("messaging.destination.temporary", "messaging.temp_destination"),
    (
        "messaging.destination.partition.id",
        "messaging.kafka.destination.partition",
        "messaging.kafka.source.partition",
        "messaging.kafka.partition",
    ),
    ("messaging.destination.subscription.name", "messaging.servicebus.destination.subscription_name"),
    ("messaging.operation.type", "messaging.operation"),
    ("messaging.message.id", "messaging.message_id"),
    ("messaging.message.conversation_id", "messaging.conversation_id"),
    ("messaging.message.body.size", "messaging.message.payload_size_bytes", "messaging.message_payload_size_bytes"),
    (
        "messaging.consumer.group.name",
        "messaging.kafka.consumer.group",
        "messaging.kafka.consumer_group",
        "messaging.rocketmq.client_group",
        "messaging.eventhubs.consumer.group",
    ),
    ("messaging.client.id", "messaging.client_id", "messaging.kafka.client_id", "messaging.consumer.id"),
    ("messaging.kafka.message.key", "messaging.kafka.message_key"),
    ("messaging.kafka.offset", "messaging.kafka.message.offset"),
    ("messaging.kafka.message.tombstone", "messaging.kafka.tombstone"),
    ("messaging.rabbitmq.destination.routing_key", "messaging.rabbitmq.routing_key"),
    # Remote procedure calls
    ("rpc.system.name", "rpc.system"),
    ("rpc.response.status_code", "rpc.grpc.status_code", "rpc.connect_rpc.error_code", "rpc.jsonrpc.error_code"),
    ("jsonrpc.request.id", "rpc.jsonrpc.request_id"),
    ("jsonrpc.protocol.version", "rpc.jsonrpc.version"),
    # Services, users, code, scopes, deployment
    ("service.peer.name", "peer.service"),
    ("enduser.id", "user.id"),
    ("user.roles", "enduser.role"),
    ("code.function.name", "code.function"),
    ("code.file.path", "code.filepath"),
    ("code.line.number", "code.lineno"),
    ("code.column.number", "code.column"),
    ("exception.type", "error.kind"),
    ("deployment.environment.name", "deployment.environment"),
    ("otel.scope.name", "otel.library.name"),
    ("otel.scope.version", "otel.library.version"),
    ("container.runtime.name", "container.runtime"),
    ("faas.invocation_id", "faas.execution"),
    ("cloud.resource_id", "faas.id"),
    ("telemetry.distro.version", "telemetry.auto.version"),
    ("azure.resource_provider.namespace", "az.namespace"),
    ("azure.service.request.id", "az.service_request_id"),
    ("feature_flag.result.variant", "feature_flag.variant"),
    ("feature_flag.result.reason", "feature_flag.evaluation.reason"),
    ("gen_ai.provider.name", "gen_ai.system"),
    ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    ("vcs.change.id", "vcs.repository.change.id"),
    ("vcs.ref.head.name", "vcs.repository.ref.name"),
    ("vcs.ref.head.revision", "vcs.repository.ref.revision"),
)
"""One line an attribute: its names, newest first. A name stands in two lines where its meaning depended on the span's kind."""

_ONLY_ON: Final[dict[tuple[str, str], frozenset[str]]] = {
    # The peer of a client is the server, and the peer of a server is the client. A server's own host is the server.
    ("server.address", "net.peer.name"): _NOT_SERVERS,
    ("server.address", "net.host.name"): _NOT_CLIENTS,
    ("server.address", "http.server_name"): _NOT_CLIENTS,
    ("server.port", "net.peer.port"): _NOT_SERVERS,
    ("server.port", "net.host.port"): _NOT_CLIENTS,
    ("client.address", "net.peer.name"): _NOT_CLIENTS,
    ("client.port", "net.peer.port"): _NOT_CLIENTS,
}
"""(newest name, older name) -> the kinds of span on which the older one has that meaning."""

_LINES_OF: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    name: tuple(line for line in TABLE if name in line)
    for name in dict.fromkeys(name for line in TABLE for name in line)
}


def spellings(key: str) -> tuple[str, ...]:
    """Return all names of an attribute, newest first; of a key that the table does not know, the key alone.

    A name that stands in two lines (``net.peer.name``) means its first one.

    >>> spellings("http.status_code")
    ('http.response.status_code', 'http.status_code')
    >>> spellings("shop.cart.id")
    ('shop.cart.id',)
    """
    return _LINES_OF.get(key, ((key,),))[0]


def meanings(key: str) -> tuple[tuple[str, frozenset[str] | None], ...]:
    """Return the names under which the value of ``key`` may stand, newest first, each with the kinds of span on which it may.

    None means all kinds. ``net.peer.name`` is the server's address on a client's span, and the client's on a server's.

    >>> [(name, sorted(kinds) if kinds else None) for name, kinds in meanings("client.address")]
    [('client.address', None), ('http.client_ip', None), ('net.peer.name', ['CONSUMER', 'SERVER'])]
    """
    found: dict[str, frozenset[str] | None] = {}
    for line in _LINES_OF.get(key, ((key,),)):
        mine = _ONLY_ON.get((line[0], key))
        for name in line:
            kinds = None if name == key else _both(mine, _ONLY_ON.get((line[0], name)))
            if kinds is None or kinds:
                found.setdefault(name, kinds)
    return tuple(found.items())


def _both(left: frozenset[str] | None, right: frozenset[str] | None) -> frozenset[str] | None:
    return right if left is None else left if right is None else left & right
