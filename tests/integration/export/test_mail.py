# SPDX-License-Identifier: Apache-2.0
"""Alerts by mail, to a real SMTP server (aiosmtpd)."""
import email
import email.policy
import ssl

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from conftest import alert, event
from support import free_port, wait_until


class Inbox:
    def __init__(self):
        self.mails = []
        self.envelopes = []
        self.refuse = []

    async def handle_DATA(self, server, session, envelope):
        if self.refuse:
            return self.refuse.pop(0)
        self.envelopes.append(envelope)
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"


def check_login(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"dvara", b"s3cret")
    return AuthResult(success=good, handled=False)


@pytest.fixture
def server(authority):
    made = []

    def make(**options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("mail"))
        controller = Controller(Inbox(), hostname="127.0.0.1", port=free_port(), tls_context=context, **options)
        controller.start()
        made.append(controller)
        return controller
    yield make
    for one in made:
        one.stop()


def destination(server, authority, **more):
    return {"name": "x", "type": "email", "url": f"smtp://127.0.0.1:{server.port}", "ca": authority.certificate,
            "from": "dvara@example.org", "to": ["soc@example.org", "lead@example.org"], **more}


def test_an_alert_comes_as_a_mail_in_plain_words(house, server, authority, secret):
    smtp = server(require_starttls=True, auth_required=True, authenticator=check_login)
    smtp.handler.refuse = ["451 later", "421 too busy"]
    house.export(destination(smtp, authority, user="dvara", password_file=secret("s3cret")))
    house.write(event(1), alert("rule/a", 2, severity=5, title="Zu viele Ablehnungen: \u00fcber 25\r\nBcc: evil@example.org",
                                message="25 refusals of .198.51.100.7\n.\nQUIT " + "long " * 60),
                alert("rule/a", 3))
    house.wait_level()
    assert len(smtp.handler.mails) == 1
    mail, envelope = smtp.handler.mails[0], smtp.handler.envelopes[0]
    assert envelope.mail_from == "dvara@example.org" and envelope.rcpt_tos == ["soc@example.org", "lead@example.org"]
    assert mail["subject"] == "[Dvara] CRITICAL: Zu viele Ablehnungen: \u00fcber 25  Bcc: evil@example.org"
    assert mail["bcc"] is None and mail["date"].datetime and mail["auto-submitted"] == "auto-generated"
    uid = next(uid for uid, one in house.feed().items() if one.get("finding_info", {}).get("uid") == "rule/a")
    assert mail["message-id"].startswith(f"<{uid.split('#')[1]}.") and mail["message-id"].endswith("@example.org>")
    text = mail.get_content()
    assert "Severity:    CRITICAL" in text and "Details:     25 in 5 minutes" in text
    assert "25 refusals of .198.51.100.7 . QUIT long" in text and f"Log entry:   {uid}" in text
    house.wait_status(repeated=1)


def test_without_tls_nothing_is_said(house, server, authority, secret):
    plain = Controller(Inbox(), hostname="127.0.0.1", port=free_port(), auth_require_tls=False,
                       authenticator=check_login)
    plain.start()
    try:
        house.export(destination(plain, authority, user="dvara", password_file=secret("s3cret")))
        house.write(alert("rule/a", 1))
        wait_until(lambda: house.status()["state"] == "failing", 10, "it is refused")
        assert not plain.handler.mails
        house.end("dvara-export")
        house.export({**destination(plain, authority), "plaintext": True})
        house.wait_level()
        assert len(plain.handler.mails) == 1
    finally:
        plain.stop()


def test_a_wrong_password_waits_and_loses_no_alert(house, server, authority, secret):
    smtp = server(require_starttls=True, auth_required=True, authenticator=check_login)
    path = secret("wrong")
    house.export(destination(smtp, authority, user="dvara", password_file=path))
    house.write(alert("rule/a", 1))
    wait_until(lambda: house.status()["state"] == "failing", 10, "it is refused")
    path.write_text("s3cret\n")
    house.wait_level()
    assert len(smtp.handler.mails) == 1
    house.wait_status(refused=0)
