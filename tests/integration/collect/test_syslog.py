# SPDX-License-Identifier: Apache-2.0
"""Syslog from real senders: logger, rsyslog, openssl s_client."""
import shutil
import socket
import subprocess
import time

import pytest

from collect_tools import free_port, wait_until


def logger(port, *words, text="hello"):
    subprocess.run(["logger", "--server", "127.0.0.1", "--port", str(port), *words, text], check=True, timeout=10)


def test_logger_over_udp_and_tcp_in_all_its_formats(stand):
    udp, tcp = free_port(), free_port()
    stand.collect({"type": "syslog", "listen": f"udp://127.0.0.1:{udp}"},
                  {"type": "syslog", "listen": f"tcp://127.0.0.1:{tcp}"})
    tag = ["--tag", "sshd", "--id=77"]
    text = "Accepted password for alice from 2001:db8::1 port 22 ssh2"
    logger(udp, "--udp", "--rfc3164", *tag, text=text)
    logger(udp, "--udp", "--rfc5424", *tag, text=text)
    logger(udp, "--udp", "--rfc5424=notime,nohost", *tag, text=text)
    logger(tcp, "--tcp", "--rfc3164", *tag, text=text)
    logger(tcp, "--tcp", "--rfc5424", "--octet-count", *tag, text=text)
    logger(tcp, "--tcp", "--rfc5424", "--sd-id", "x@1", "--sd-param", 'a="b c"', *tag, text=text)
    events = stand.wait_for(6)
    assert {one["metadata"]["event_code"] for one in events} == {"collected.sshd"}
    assert {one["user"]["name"] for one in events} == {"alice"}
    assert {one["unmapped"]["dvara"]["peer"] for one in events} == {"127.0.0.1"}
    assert all(one["metadata"]["log_source"].startswith("collect") for one in events)
    assert any("x@1" in one["unmapped"]["dvara"].get("structured_data", "") for one in events)


@pytest.fixture
def certificates(tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    for name in ("ca", "server", "client", "stranger"):
        sign = ["-CA", "ca.pem", "-CAkey", "ca.key"] if name in ("server", "client") else []
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}",
                        "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", *sign],
                       cwd=folder, check=True, capture_output=True)
    return folder


def send_tls(port, folder, text, *words):
    return subprocess.run(["openssl", "s_client", "-quiet", "-no_ign_eof", "-connect", f"127.0.0.1:{port}",
                           "-CAfile", folder / "ca.pem", *words], input=text, capture_output=True, timeout=10, check=False)


def test_tls_with_client_certificates(stand, certificates):
    port = free_port()
    stand.collect({"type": "syslog", "listen": f"tls://127.0.0.1:{port}", "certificate": str(certificates / "server.pem"),
                   "key": str(certificates / "server.key"), "client_ca": str(certificates / "ca.pem")})
    message = b"<13>1 2026-11-22T16:01:02Z web1 app - - - over tls"
    counted = b"%d %s" % (len(message), message)
    send_tls(port, certificates, counted)
    send_tls(port, certificates, counted, "-cert", certificates / "stranger.pem", "-key", certificates / "stranger.key")
    send_tls(port, certificates, counted * 3, "-cert", certificates / "client.pem", "-key", certificates / "client.key")
    assert [one["message"] for one in stand.wait_for(3)] == ["over tls"] * 3
    wait_until(lambda: stand.input()["refused"] == 2, 10, "the strangers are counted")


def test_senders_speak_tls_13_unless_it_is_said(stand, certificates):
    new, old = free_port(), free_port()
    listens = [{"type": "syslog", "name": name, "listen": f"tls://127.0.0.1:{port}",
                "certificate": str(certificates / "server.pem"), "key": str(certificates / "server.key"), **more}
               for name, port, more in (("new", new, {}), ("old", old, {"tls_version": "1.2"}))]
    stand.collect(*listens)
    message = b"<13>1 2026-11-22T16:01:02Z web1 app - - - over tls"
    counted = b"%d %s" % (len(message), message)
    assert send_tls(new, certificates, counted, "-tls1_2").returncode != 0
    assert send_tls(old, certificates, counted, "-tls1_2").returncode == 0
    assert send_tls(new, certificates, counted, "-tls1_3").returncode == 0
    assert [one["message"] for one in stand.wait_for(2)] == ["over tls"] * 2


def test_rsyslog_forwards_over_tcp_and_tls(stand, certificates, tmp_path):
    tcp, tls = free_port(), free_port()
    stand.collect({"type": "syslog", "listen": f"tcp://127.0.0.1:{tcp}"},
                  {"type": "syslog", "listen": f"tls://127.0.0.1:{tls}", "certificate": str(certificates / "server.pem"),
                   "key": str(certificates / "server.key"), "tls_version": "1.2"})
    source = tmp_path / "app.log"
    source.write_text("".join(f"line {i}\n" for i in range(200)))
    (tmp_path / "work").mkdir()
    config = tmp_path / "rsyslog.conf"
    config.write_text(f"""
global(workDirectory="{tmp_path}/work" DefaultNetstreamDriverCAFile="{certificates}/ca.pem")
module(load="imfile" mode="polling" pollingInterval="1")
input(type="imfile" File="{source}" Tag="app:" Severity="notice" Facility="local1")
action(type="omfwd" target="127.0.0.1" port="{tcp}" protocol="tcp" template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted")
action(type="omfwd" target="127.0.0.1" port="{tls}" protocol="tcp" StreamDriver="gtls" StreamDriverMode="1"
       StreamDriverAuthMode="x509/certvalid" template="RSYSLOG_ForwardFormat")
""")
    with subprocess.Popen([shutil.which("rsyslogd"), "-n", "-f", config, "-i", tmp_path / "rsyslog.pid"],
                          stdout=stand.errors, stderr=stand.errors) as rsyslog:
        try:
            events = stand.wait_for(400, 30)
        finally:
            rsyslog.terminate()
    texts = [one["message"].strip() for one in events if one["message"].strip().startswith("line")]
    assert sorted(texts) == sorted([f"line {i}" for i in range(200)] * 2)
    assert {one["actor"]["app_name"] for one in events} == {"app"}


def test_framing_broken_and_mixed(stand):
    port = free_port()
    stand.collect({"type": "syslog", "listen": f"tcp://127.0.0.1:{port}"})
    with socket.create_connection(("127.0.0.1", port)) as one:
        for piece in (b"<13>a", b"b: x\n7 <13>q", b": ", b"z<14>half"):
            one.sendall(piece)
            time.sleep(0.02)
    assert stand.wait_for(3) and stand.raws() == ["<13>ab: x", "<13>q: ", "z<14>half"]
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(b"99999999999999 x")
        one.settimeout(5)
        assert one.recv(1) == b""
    wait_until(lambda: stand.alarms("collect.lost"), 10, "the alarm")


def test_a_mebibyte_of_one_message(stand):
    port = free_port()
    stand.collect({"type": "syslog", "listen": f"tcp://127.0.0.1:{port}"})
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(b"<13>" + b"x" * (3 << 20) + b"\n<13>app: next\n")
    first, second = stand.wait_for(2)
    assert first["raw_data_size"] == (3 << 20) + 4 and first["metadata"]["is_truncated"]
    assert 16000 < len(first["raw_data"]) <= 16384 and len(first["raw_data_hash"]["value"]) == 64
    assert first["unmapped"]["dvara"]["blob"]["size"] == 1 << 20 and second["message"] == "next"
    wait_until(lambda: (stand.input()["large"], stand.input()["truncated"]) == (1, 1), 10, "both are counted")


def test_a_flood_of_datagrams_is_counted_and_others_go_on(stand):
    flood, quiet = free_port(), free_port()
    stand.collect({"type": "syslog", "listen": f"udp://127.0.0.1:{flood}", "name": "flood", "rate": 500},
                  {"type": "syslog", "listen": f"tcp://127.0.0.1:{quiet}", "name": "quiet"})
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
            socket.create_connection(("127.0.0.1", quiet)) as tcp:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for _ in range(200):
                udp.sendto(b"<13>app: flood %d" % sent, ("127.0.0.1", flood))
                sent += 1
            tcp.sendall(b"<13>app: quiet\n")
        rounds = sent // 200
    def counts():
        return {one["name"]: one for one in stand.report()["inputs"]}
    wait_until(lambda: counts()["flood"]["lines"] + counts()["flood"]["dropped"] == sent, 15, f"all {sent} are accounted for")
    wait_until(lambda: counts()["quiet"]["lines"] == rounds, 15, "every line of the other is there")
    wait_until(lambda: stand.alarms("collect.dropped"), 15, "the alarm")
    assert counts()["flood"]["dropped"] > 0 and "messages were dropped" in stand.alarms("collect.dropped")[0]
