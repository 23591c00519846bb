# SPDX-License-Identifier: Apache-2.0
"""clickhouse_engine.py PORT STATEMENT: ClickHouse's own engine (chdb) behind the part of its HTTP interface that
inserts use. POST / runs ?query= with the body behind it, under the settings among the parameters."""
import http.server
import sys
import threading
import urllib.parse
from unittest import mock

# chdb imports these for results as data frames, which nobody asks for here.
sys.modules.setdefault("pyarrow", mock.MagicMock())
sys.modules.setdefault("pandas", mock.MagicMock())

from chdb import session  # noqa: E402

NOT_SETTINGS = {"query", "wait_end_of_query"}  # of the HTTP interface itself


def main():
    engine, lock = session.Session(), threading.Lock()
    for statement in sys.argv[2].split(";"):
        engine.query(statement)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            words = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query, strict_parsing=True))
            query = words["query"]
            settings = {name: value for name, value in words.items() if name not in NOT_SETTINGS}
            status = 200
            try:
                if settings:
                    head, form = query.rsplit(" FORMAT ", 1)
                    told = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
                    query = f"{head} SETTINGS {told} FORMAT {form}"
                with lock:
                    data = engine.query(f"{query}\n{body}", "JSONEachRow").bytes() or b""
            except RuntimeError as error:
                data = str(error).encode()
                missing = "UNKNOWN_TABLE" in str(error) or "UNKNOWN_DATABASE" in str(error)
                status = 404 if missing else 400 if "PARSE" in str(error) or "INCORRECT_DATA" in str(error) else 500
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


main()
