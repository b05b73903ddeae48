from __future__ import annotations

import pytest

from traceanalytics.semconv import TABLE, meanings, spellings

# From OpenTelemetry's migration guides and registry of deprecated attributes, written down independently of the table.
RENAMED = {
    "http.method": "http.request.method",
    "http.status_code": "http.response.status_code",
    "http.url": "url.full",
    "http.scheme": "url.scheme",
    "http.client_ip": "client.address",
    "http.user_agent": "user_agent.original",
    "http.flavor": "network.protocol.version",
    "http.resend_count": "http.request.resend_count",
    "http.server_name": "server.address",
    "http.request_content_length_uncompressed": "http.request.body.size",
    "http.response_content_length": "http.response.body.size",
    "net.sock.peer.addr": "network.peer.address",
    "net.peer.ip": "network.peer.address",
    "net.sock.peer.port": "network.peer.port",
    "net.sock.host.addr": "network.local.address",
    "net.host.ip": "network.local.address",
    "net.host.name": "server.address",
    "net.host.port": "server.port",
    "net.transport": "network.transport",
    "net.protocol.name": "network.protocol.name",
    "net.protocol.version": "network.protocol.version",
    "db.system": "db.system.name",
    "db.type": "db.system.name",
    "db.instance": "db.namespace",
    "db.statement": "db.query.text",
    "db.operation": "db.operation.name",
    "db.name": "db.namespace",
    "db.redis.database_index": "db.namespace",
    "db.sql.table": "db.collection.name",
    "db.mongodb.collection": "db.collection.name",
    "db.cassandra.table": "db.collection.name",
    "db.cosmosdb.container": "db.collection.name",
    "db.cosmosdb.status_code": "db.response.status_code",
    "messaging.destination": "messaging.destination.name",
    "messaging.temp_destination": "messaging.destination.temporary",
    "messaging.operation": "messaging.operation.type",
    "messaging.message_id": "messaging.message.id",
    "messaging.conversation_id": "messaging.message.conversation_id",
    "messaging.kafka.consumer.group": "messaging.consumer.group.name",
    "messaging.kafka.destination.partition": "messaging.destination.partition.id",
    "messaging.kafka.message.offset": "messaging.kafka.offset",
    "messaging.client_id": "messaging.client.id",
    "rpc.system": "rpc.system.name",
    "rpc.grpc.status_code": "rpc.response.status_code",
    "rpc.jsonrpc.request_id": "jsonrpc.request.id",
    "peer.service": "service.peer.name",
    "code.function": "code.function.name",
    "code.filepath": "code.file.path",
    "code.lineno": "code.line.number",
    "deployment.environment": "deployment.environment.name",
    "otel.library.name": "otel.scope.name",
    "otel.library.version": "otel.scope.version",
    "gen_ai.system": "gen_ai.provider.name",
    "az.namespace": "azure.resource_provider.namespace",
}


@pytest.mark.parametrize(("older", "newer"), RENAMED.items())
def test_older_name_leads_to_newer(older, newer):
    assert spellings(older)[0] == newer
    assert older in spellings(newer)


def test_all_names_of_a_line_have_the_same_spellings():
    twice = {"net.peer.name", "net.peer.port"}
    for line in TABLE:
        for name in set(line) - twice:
            assert spellings(name) == line


def test_a_name_stands_once_unless_its_meaning_depends_on_the_kind():
    names = [name for line in TABLE for name in line]
    assert {name for name in names if names.count(name) > 1} == {"net.peer.name", "net.peer.port"}
    assert all(len(line) > 1 for line in TABLE)


def test_unknown_key_stands_for_itself():
    assert spellings("shop.cart.id") == ("shop.cart.id",)
    assert meanings("shop.cart.id") == (("shop.cart.id", None),)


def test_peer_of_a_client_is_the_server():
    where = dict(meanings("server.address"))
    assert where["server.address"] is None
    assert "SERVER" not in where["net.peer.name"]
    assert "CLIENT" in where["net.peer.name"]
    assert where["net.host.name"] == {"SERVER", "CONSUMER"}


def test_asked_by_its_own_name_a_key_counts_on_every_kind():
    where = dict(meanings("net.peer.name"))
    assert where["net.peer.name"] is None
    assert where["client.address"] == {"SERVER", "CONSUMER"}
    assert "net.host.name" not in where  # never the peer
