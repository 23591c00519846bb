# SPDX-License-Identifier: Apache-2.0
"""`dvara key`, `dvara encrypt` and `dvara decrypt`, as their users run them; Tink for a judge of the streams."""
import hashlib
import hmac
import io
import json
import os
import pathlib
import pty
import shutil
import stat
import struct
import subprocess
import tempfile

import pytest
import tink
from tink import aead, secret_key_access, streaming_aead
from support import wait_until
from tink.proto import aes_gcm_hkdf_streaming_pb2, aes_gcm_pb2, common_pb2, tink_pb2

BUILD = pathlib.Path(os.environ.get("DVARA_BUILD", "build"))
BUILD = BUILD if (BUILD / "dvara").exists() else BUILD / os.environ.get("BUILD", "build")
HEAD, SLOT, SEGMENT, TAG, STREAM_HEAD = 4096, 2048, 1 << 20, 16, 40
FIRST, FULL = SEGMENT - TAG - STREAM_HEAD, SEGMENT - TAG


class Place:
    """A folder with a state, and the program."""

    def __init__(self, folder):
        self.folder, self.state = folder, folder / "state"
        self.state.mkdir(mode=0o700)

    def run(self, *words, code=0, data=b"", credentials=None):
        env = {**os.environ, "DVARA_STATE": str(self.state)}
        env.pop("CREDENTIALS_DIRECTORY", None)
        if credentials is not None:
            env["CREDENTIALS_DIRECTORY"] = str(credentials)
        done = subprocess.run([BUILD / "dvara", *map(str, words)], input=data, capture_output=True, env=env,
                              cwd=self.folder, timeout=60, check=False, start_new_session=True)
        assert done.returncode == code, (words, done.stdout[:500], done.stderr.decode())
        return done.stdout if code == 0 else done.stderr.decode()

    def json(self, *words, **options):
        return json.loads(self.run(*words, "--output", "json", **options))

    def write(self, name, data):
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def read(self, name):
        return (self.folder / name).read_bytes()

    def names(self):
        return sorted(path.name for path in self.folder.iterdir() if path.name != "state")


@pytest.fixture(name="place")
def make_place():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-seal-"))
    yield Place(folder)
    shutil.rmtree(folder)


# -- Tink -------------------------------------------------------------------------------------------


def raw_handle(type_name, material, message):
    """Tink's handle of one key whose bytes are known, without a prefix."""
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(key_data=tink_pb2.KeyData(type_url=f"type.googleapis.com/google.crypto.tink.{type_name}",
                                             value=message.SerializeToString(), key_material_type=material),
                   status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW)
    return tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)


def tink_stream(key):
    streaming_aead.register()
    params = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=SEGMENT, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256)
    message = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, params=params, key_value=key)
    return raw_handle("AesGcmHkdfStreamingKey", tink_pb2.KeyData.SYMMETRIC, message).primitive(
        streaming_aead.StreamingAead)


def tink_open(key, associated, sealed):
    with tink_stream(key).new_decrypting_stream(io.BytesIO(sealed), associated) as stream:
        return stream.read()


def tink_seal(key, associated, plain):
    out = io.BytesIO()
    out.close = lambda: None
    with tink_stream(key).new_encrypting_stream(out, associated) as stream:
        stream.write(plain)
    return out.getvalue()


def tink_unwrap(key, associated, sealed):
    aead.register()
    message = aes_gcm_pb2.AesGcmKey(version=0, key_value=key)
    return raw_handle("AesGcmKey", tink_pb2.KeyData.SYMMETRIC, message).primitive(aead.Aead).decrypt(sealed, associated)


def stream_tool(how, key, associated, data):
    done = subprocess.run([BUILD / "tests/integration/data/stream_tool", how, key.hex(), associated], input=data,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.ordinary_build
@pytest.mark.parametrize("size", [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + FULL - 1, FIRST + FULL, FIRST + FULL + 1,
                                  SEGMENT, 2 * SEGMENT, FIRST + 2 * FULL])
def test_tink_opens_our_streams_and_we_open_tinks(size):
    key, plain = os.urandom(32), os.urandom(size)
    ours = stream_tool("seal", key, "patient/4711", plain)
    theirs = tink_seal(key, b"patient/4711", plain)
    assert len(ours) == len(theirs)
    assert tink_open(key, b"patient/4711", ours) == plain
    assert stream_tool("open", key, "patient/4711", theirs) == plain


# -- a reader of our files that shares no code with them -------------------------------------------


def hkdf(key, salt, info):
    return hmac.new(hmac.new(salt, key, hashlib.sha256).digest(), info + b"\x01", hashlib.sha256).digest()


def read_independently(sealed, kek, key_id, associated=b""):
    """Opens a file by the format that src/crypto/envelope.h tells, with Tink's primitives."""
    slot = next(sealed[at:at + SLOT] for at in (0, SLOT) if sealed[at:at + 8] == b"DVARAENC")
    version, flags, count, _ = struct.unpack_from("<BBHI", slot, 8)
    assert (version, flags) == (1, 1 if associated else 0)
    file_id, at, secret = slot[16:32], 64, None
    for _ in range(count):
        kind, size = struct.unpack_from("<BH", slot, at)
        body, at = slot[at + 3:at + 3 + size], at + 3 + size
        if kind == 1 and body[:16] == key_id:
            secret = tink_unwrap(kek, b"dvara envelope v1" + file_id, body[20:])
    mac_key = hkdf(secret, file_id, b"dvara envelope header v1")
    covered = hashlib.sha256(b"header\n" + slot[:at]).digest()
    assert hmac.new(mac_key, covered, hashlib.sha256).digest() == slot[at:at + 32]
    return tink_open(hkdf(secret, file_id, b"dvara envelope stream v1"), associated, sealed[HEAD:])


def test_files_are_read_without_our_code(place):
    place.json("key", "generate")
    identity = place.json("key", "generate", "--name", "box", "--type", "x25519")
    made = place.json("backup", "keygen", "--file", "identity")
    place.run("key", "export", "main", "--file", "key.age", "--recipient", made["recipient"])
    text = subprocess.run(["age", "-d", "-i", place.folder / "identity", place.folder / "key.age"], capture_output=True,
                          check=True, timeout=30).stdout.decode().split("\n")
    assert text[:3] == ["dvara-key-v1", "name main", "type aes256"], text
    key_id, kek = bytes.fromhex(text[3].split()[1]), bytes.fromhex(text[4].split()[3])
    plain = os.urandom(SEGMENT + 100)
    place.run("encrypt", "--output", "file", "--key", "main", "--recipient", identity["recipient"],
              "--associated-data", "patient/4711", data=plain)
    assert read_independently(place.read("file"), kek, key_id, b"patient/4711") == plain
    place.run("key", "rewrap", "file")
    assert read_independently(place.read("file"), kek, key_id, b"patient/4711") == plain


# -- encrypting and decrypting ----------------------------------------------------------------------


def test_there_and_back(place):
    place.write("data.json", b'{"a": 1}')
    place.run("key", "generate", "--type", "aes256")
    place.run("encrypt", "--input", "data.json", "--output", "data.enc")
    assert b'"a"' not in place.read("data.enc")
    place.run("decrypt", "--input", "data.enc", "--output", "again.json")
    assert place.read("again.json") == b'{"a": 1}'
    assert stat.S_IMODE((place.folder / "again.json").stat().st_mode) == 0o600
    plain = os.urandom(3 * SEGMENT)
    sealed = place.run("encrypt", "--output", "-", data=plain)
    assert place.run("decrypt", "--output", "-", data=sealed) == plain
    assert place.run("decrypt", "--output", "-", data=place.run("encrypt", "--output", "-")) == b""


def test_a_name_may_be_as_long_as_names_get(place):
    place.run("key", "generate")
    place.run("encrypt", "--output", 255 * "x", data=b"text")
    assert place.run("decrypt", "--input", 255 * "x", "--output", "-") == b"text"


def test_what_was_changed_is_refused_and_nothing_is_written(place):
    place.run("key", "generate")
    plain = os.urandom(2 * SEGMENT)
    place.write("plain", plain)
    place.run("encrypt", "--input", "plain", "--output", "file", "--associated-data", "a")
    place.write("out", b"what was there")
    good = place.read("file")
    places = [0, 9, 20, 40, 70, 130, 170, SLOT - 1, SLOT, HEAD - 1, HEAD, HEAD + 3, HEAD + 39, HEAD + 40, HEAD + SEGMENT, len(good) - 1]
    changed = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1:] for at in places]
    cut = [good[:at] for at in (0, 7, HEAD - 1, HEAD, HEAD + 41, HEAD + SEGMENT, len(good) - 1)]
    first, second, rest = good[HEAD:HEAD + SEGMENT], good[HEAD + SEGMENT:HEAD + 2 * SEGMENT], good[HEAD + 2 * SEGMENT:]
    mixed = [good[:HEAD] + second + first + rest, good[:HEAD] + first + rest, good[:HEAD] + first + first + second + rest, good + b"x"]
    for bad in [*changed, *cut, *mixed]:
        place.write("bad", bad)
        message = place.run("decrypt", "--input", "bad", "--output", "out", "--associated-data", "a", code=1)
        assert "bad: " in message
    for words in ["--associated-data", "b"], []:
        assert "associated data" in place.run("decrypt", "--input", "file", "--output", "out", *words, code=1)
    assert place.read("out") == b"what was there"
    assert place.names() == ["bad", "file", "out", "plain"]
    other = place.folder / "other"
    place.run("key", "generate", "--keystore", other)
    assert "no key of this keystore" in place.run("decrypt", "--input", "file", "--output", "out", "--keystore", other, code=1)


def test_only_what_was_proved_comes_out_of_a_pipe(place):
    place.run("key", "generate")
    plain = os.urandom(2 * SEGMENT + 5)
    sealed = bytearray(place.run("encrypt", "--output", "-", data=plain))
    sealed[HEAD + SEGMENT + 9] ^= 1
    done = subprocess.run([BUILD / "dvara", "decrypt", "--output", "-", "--state", place.state], input=bytes(sealed),
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and done.stdout == plain[:FIRST] and b"from byte 1048520" in done.stderr


def test_a_terminal_shows_how_far_it_is(place):
    place.run("key", "generate")
    place.write("plain", bytes(8 * SEGMENT))
    ours, theirs = pty.openpty()
    words = ["encrypt", "--input", place.folder / "plain", "--output", "/dev/null", "--state", place.state]
    subprocess.run([BUILD / "dvara", *words], stderr=theirs, check=True, timeout=60)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    os.close(theirs)
    assert f"of {8 * SEGMENT} bytes" in shown and shown.endswith("\r\033[K")


def test_a_kill_leaves_nothing_behind(place):
    place.run("key", "generate")
    process = subprocess.Popen([BUILD / "dvara", "encrypt", "--output", place.folder / "out", "--state", place.state],
                               stdin=subprocess.PIPE)
    process.stdin.write(os.urandom(3 * SEGMENT))
    process.stdin.flush()
    process.kill()
    process.wait(timeout=10)
    process.stdin.close()
    assert place.names() == []


@pytest.mark.ordinary_build
def test_memory_does_not_grow_with_the_file(place):
    place.run("key", "generate")
    with open(place.folder / "big", "wb") as big:
        big.truncate(300 << 20)
    script = ('import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); '
              'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)')
    words = [BUILD / "dvara", "encrypt", "--state", place.state, "--input", place.folder / "big", "--output", "/dev/null"]
    done = subprocess.run(["/usr/bin/python3", "-c", script, *map(str, words)], capture_output=True, check=True, timeout=60)
    assert int(done.stdout) < 64 << 10  # KiB


def test_recipients_elsewhere(place):
    """Others encrypt for a key whose secret half they never see; whoever has it needs no keystore."""
    key = place.json("key", "generate", "--name", "box", "--type", "x25519")
    made = place.json("backup", "keygen", "--file", "identity")
    elsewhere = Place(place.folder / "state")
    elsewhere.write("letter", b"dear box")
    elsewhere.run("encrypt", "--input", "letter", "--output", "letter.enc", "--recipient",
                  f"{key['recipient']},{made['recipient']}")
    shutil.move(elsewhere.folder / "letter.enc", place.folder)
    assert place.run("decrypt", "--input", "letter.enc", "--output", "-") == b"dear box"
    assert place.run("decrypt", "--input", "letter.enc", "--output", "-", "--identity-file", "identity") == b"dear box"
    place.run("backup", "keygen", "--file", "stranger")
    assert "sealed to none of the keys" in place.run("decrypt", "--input", "letter.enc", "--output", "-", "--identity-file",
                                                    "stranger", code=1)
    place.run("key", "rotate", "box")
    assert place.run("decrypt", "--input", "letter.enc", "--output", "-") == b"dear box"
    assert place.json("key", "rewrap", "letter.enc")["items"][0]["recipients"] == ["x25519", "x25519"]
    place.run("key", "destroy", "box", "--version", "1", "--yes")  # what was rewrapped does not need it
    assert place.run("decrypt", "--input", "letter.enc", "--output", "-") == b"dear box"
    place.run("key", "generate")
    for _ in range(2):  # a key of this keystore gives way to another, the stranger's stays
        assert sorted(place.json("key", "rewrap", "letter.enc", "--key", "main")["items"][0]["recipients"]) == ["main v1", "x25519"]
    for _ in range(2):
        assert place.json("key", "rewrap", "letter.enc", "--key", "box")["items"][0]["recipients"] == ["x25519", "x25519"]
    assert place.run("decrypt", "--input", "letter.enc", "--output", "-", "--identity-file", "identity") == b"dear box"


# -- keys -------------------------------------------------------------------------------------------


def test_a_key_is_rotated_rewrapped_and_destroyed(place):
    place.run("key", "generate")
    plain = os.urandom(SEGMENT + 7)
    place.write("plain", plain)
    for name in "old", "taken":
        place.run("encrypt", "--input", "plain", "--output", name)
    body = place.read("taken")[HEAD:]
    assert place.json("key", "rotate", "main")["version"] == 2
    assert place.run("decrypt", "--input", "old", "--output", "-") == plain
    before = (place.folder / "taken").stat()
    assert place.json("key", "rewrap", "taken")["items"] == [{"file": "taken", "generation": 2, "recipients": ["main v2"]}]
    after = (place.folder / "taken").stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert place.read("taken")[HEAD:] == body and place.read("taken")[:SLOT] == bytes(SLOT)
    assert "say --yes" in place.run("key", "destroy", "main", "--version", "1", code=1)
    place.run("key", "destroy", "main", "--version", "1", "--yes")
    assert place.run("decrypt", "--input", "taken", "--output", "-") == plain
    assert "version 1 of main, was destroyed" in place.run("decrypt", "--input", "old", "--output", "-", code=1)
    assert "version 1 of main, was destroyed" in place.run("key", "rewrap", "old", "taken", code=1)
    states = [version["state"] for version in place.json("key", "list")["items"][0]["versions"]]
    assert states == ["destroyed", "active"]
    place.run("key", "destroy", "main", "--yes")
    assert "destroyed" in place.run("decrypt", "--input", "taken", "--output", "-", code=1)
    assert "no key that encrypts" in place.run("encrypt", "--input", "plain", "--output", "x", code=1)


def test_a_key_that_goes_while_a_file_is_encrypted(place):
    place.run("key", "generate")
    place.write("out", b"what was there")
    with subprocess.Popen([BUILD / "dvara", "encrypt", "--state", place.state, "--output", "out"], cwd=place.folder, stdin=subprocess.PIPE,
                          stderr=subprocess.PIPE) as running:
        running.stdin.write(bytes(3 << 20))
        running.stdin.flush()
        wait_until(lambda: any("(deleted)" in os.path.realpath(fd) and fd.stat().st_size > 0
                               for fd in pathlib.Path(f"/proc/{running.pid}/fd").iterdir()), 20, "the unfinished output")
        place.run("key", "destroy", "main", "--yes")
        told = running.communicate(b"text", timeout=30)[1]
    assert running.returncode == 1 and b"destroyed while the file was encrypted" in told
    assert place.read("out") == b"what was there"


def test_a_rewrap_that_was_cut_off_is_mended(place):
    place.run("key", "generate")
    place.run("encrypt", "--output", "file", data=b"text")
    before = place.read("file")
    place.run("key", "rewrap", "file")
    after = place.read("file")
    both = before[:SLOT] + after[SLOT:]  # the new slot is written, the old one not zeroed yet
    place.write("file", both)
    assert place.run("decrypt", "--input", "file", "--output", "-") == b"text"
    for torn in before[:SLOT] + after[SLOT:SLOT + 512] + bytes(SLOT - 512) + after[HEAD:], \
            before[:512] + bytes(SLOT - 512) + after[SLOT:]:
        place.write("file", torn)
        assert "dvara key rewrap" in place.run("decrypt", "--input", "file", "--output", "-", code=1)
        place.run("key", "rewrap", "file")
        assert place.run("decrypt", "--input", "file", "--output", "-") == b"text"


@pytest.mark.ordinary_build
def test_a_keystore_with_a_passphrase(place):
    place.write("pass", b"correct horse battery\n")
    place.write("wrong", b"correct house battery\n")
    os.chmod(place.folder / "pass", 0o600)
    os.chmod(place.folder / "wrong", 0o600)
    assert "--unlock-file is missing" in place.run("key", "generate", "--protect", "passphrase", code=1)
    place.run("key", "generate", "--protect", "passphrase", "--unlock-file", "pass")
    place.run("encrypt", "--output", "file", "--unlock-file", "pass", data=b"text")
    assert place.run("decrypt", "--input", "file", "--output", "-", "--unlock-file", "pass") == b"text"
    assert "not the keystore's passphrase" in place.run("decrypt", "--input", "file", "--output", "-", "--unlock-file", "wrong",
                                                        code=1)
    os.chmod(place.folder / "pass", 0o644)
    assert "others may read it" in place.run("decrypt", "--input", "file", "--output", "-", "--unlock-file", "pass", code=1)
    assert place.json("key", "list")["items"][0]["name"] == "main"  # tells nothing secret
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (place.state / "keystore").iterdir()}
    assert modes == {"keys": 0o600, "lock": 0o600}
    assert stat.S_IMODE((place.state / "keystore").stat().st_mode) == 0o700


def test_keys_are_taken_elsewhere(place):
    seal, unseal = ["--recipient", place.json("backup", "keygen", "--file", "id")["recipient"]], ["--identity-file", "id"]
    place.run("key", "generate")
    sealed = place.run("encrypt", "--output", "-", data=b"text")
    place.write("file", sealed)
    place.run("key", "export", "main", "--file", "main.age", *seal)
    assert "File exists" in place.run("key", "export", "main", "--file", "main.age", *seal, code=1)
    other = ["--keystore", place.folder / "other"]
    place.run("key", "import", "--file", "main.age", *unseal, *other)
    assert place.run("decrypt", "--input", "file", "--output", "-", *other) == b"text"
    assert "here already" in place.run("key", "import", "--file", "main.age", *unseal, "--name", "b", *other, code=1)


@pytest.mark.ordinary_build
def test_a_secret_that_others_may_read_is_refused(place):
    place.run("key", "generate")
    place.write("pass", b"correct horse battery\n")
    export = ["key", "export", "main", "--passphrase-file"]
    for mode in (0o644, 0o640, 0o604, 0o620):
        os.chmod(place.folder / "pass", mode)
        assert "chmod 600 pass" in place.run(*export, "pass", "--file", "main.age", code=1)
    assert "main.age" not in place.names()
    os.chmod(place.folder / "pass", 0o600)
    place.run(*export, "pass", "--file", "main.age")
    identity = place.json("backup", "keygen", "--file", "id")["recipient"]
    place.run("encrypt", "--output", "letter.enc", "--recipient", identity, data=b"dear box")
    os.chmod(place.folder / "id", 0o640)
    opened = ["decrypt", "--input", "letter.enc", "--output", "-", "--identity-file"]
    assert "chmod 600 id" in place.run(*opened, "id", code=1)
    # Nobody else reads a pipe, standard input, or what systemd hands over.
    assert place.run(*opened, "-", data=place.read("id")) == b"dear box"
    os.mkfifo(place.folder / "pipe", 0o644)
    with subprocess.Popen(["sh", "-c", "cat id > pipe"], cwd=place.folder):
        assert place.run(*opened, "pipe") == b"dear box"
    assert place.run(*opened, place.folder / "id", credentials=place.folder) == b"dear box"
    assert "chmod 600" in place.run(*opened, place.folder / "id", credentials=str(place.folder)[:-1], code=1)


def test_standard_input_is_read_by_one(place):
    assert "--input and --identity-file can not both" in place.run("decrypt", "--output", "x", "--identity-file", "-", code=1)
    both = ["--passphrase-file", "-", "--unlock-file", "-"]
    told = "--passphrase-file and --unlock-file can not both"
    assert told in place.run("key", "export", "main", "--file", "x", *both, code=1)
    assert told in place.run("key", "import", "--file", "x", *both, code=1)


def test_mistakes_are_told(place):
    assert "`dvara key generate` makes one" in place.run("encrypt", "--output", "x", code=1)
    assert "both be standard input" in place.run("encrypt", "--output", "x", "--unlock-file", "-", data=b"secret", code=1)
    place.run("key", "generate")
    assert "there already" in place.run("key", "generate", "--name", "b", "--token", "t", code=1)
    assert "`dvara key rotate`" in place.run("key", "generate", code=1)
    assert "no key called 'man'" in place.run("encrypt", "--output", "x", "--key", "man", code=1)
    assert "recipient 1 is no public half" in place.run("encrypt", "--output", "x", "--recipient", "age1abc", code=1)
    assert "no file that `dvara encrypt` made" in place.run("decrypt", "--output", "x", data=b"y" * 9000, code=1)
    assert "is a folder" in place.run("encrypt", "--input", "state", "--output", "x", code=1)
    assert "is a folder" in place.run("encrypt", "--output", "state", code=1)
    assert "--output is missing" in place.run("encrypt", code=2)
    assert place.names() == []
    place.write("k", b"x" * 10)
    os.chmod(place.folder / "k", 0o600)
    assert "at least 32" in place.run("key", "generate", "--unlock-file", "k", "--keystore", "o", code=1)


# -- a token ----------------------------------------------------------------------------------------


@pytest.fixture(name="token")
def make_token(place, monkeypatch):
    """SoftHSM2 with a token of its own, which p11-kit finds."""
    (place.state / "tokens").mkdir()
    (place.state / "softhsm2.conf").write_text(f"directories.tokendir = {place.state}/tokens\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(place.state / "softhsm2.conf"))
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "dvara", "--pin", "864213", "--so-pin", "975312"],
                   capture_output=True, check=True, timeout=30)
    for name, pin in ("pin", b"864213"), ("wrong", b"111111"):
        os.chmod(place.write(name, pin), 0o600)
    return place


def test_keys_in_a_token_never_leave_it(token):
    pin, plain = ["--unlock-file", "pin"], os.urandom(SEGMENT)
    assert "no token called 'other'" in token.run("key", "generate", "--token", "other", *pin, code=1)
    assert "not the token's PIN" in token.run("key", "generate", "--token", "dvara", "--unlock-file", "wrong", code=1)
    token.run("key", "generate", "--protect", "token", "--token", "dvara", *pin)
    token.write("plain", plain)
    for name in "old", "new":
        token.run("encrypt", "--input", "plain", "--output", name, "--associated-data", "a", *pin)
    token.run("key", "rotate", "main", *pin)
    assert token.json("key", "rewrap", "new", *pin)["items"][0]["recipients"] == ["main v2"]
    for name in "old", "new":
        assert token.run("decrypt", "--input", name, "--output", "-", "--associated-data", "a", *pin) == plain
    assert "not the token's PIN" in token.run("decrypt", "--input", "old", "--output", "-", "--unlock-file", "wrong", code=1)
    assert "never leaves it" in token.run("key", "export", "main", "--file", "x", "--recipient",
                                         token.json("backup", "keygen", "--file", "id")["recipient"], *pin, code=1)
    assert "type aes256 only" in token.run("key", "generate", "--name", "box", "--type", "x25519", *pin, code=1)
    objects = sum(len(list(folder.glob("*.object"))) for folder in (token.state / "tokens").iterdir())
    token.run("key", "destroy", "main", "--version", "1", "--yes", *pin)
    assert sum(len(list(folder.glob("*.object"))) for folder in (token.state / "tokens").iterdir()) == objects - 1
    assert "was destroyed" in token.run("decrypt", "--input", "old", "--output", "-", "--associated-data", "a", *pin, code=1)
    changed = bytearray(token.read("new"))
    changed[SLOT + 64 + 3 + 20 + 12] ^= 1  # in what the token sealed
    token.write("bad", bytes(changed))
    token.run("decrypt", "--input", "bad", "--output", "-", "--associated-data", "a", *pin, code=1)
    shutil.rmtree(token.state / "tokens")  # the token is gone: so is all that it opens
    token.run("decrypt", "--input", "new", "--output", "-", "--associated-data", "a", *pin, code=1)
