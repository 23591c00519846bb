# SPDX-License-Identifier: Apache-2.0
"""A model server that is a real nginx: it tells the truth about its usage, or less, or more, or
nonsense, or nothing, whole or as a stream."""
import json
import subprocess

from support import free_port, wait_until

TEXT = "word " * 24  # 120 bytes


def whole(usage):
    answer = {"object": "chat.completion", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}]}
    return json.dumps(answer | ({"usage": usage} if usage else {}))


def stream(usage):
    events = [{"choices": [{"index": 0, "text": "word " * 8}]}] * 3
    events.append({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    if usage:
        events.append({"choices": [], "usage": usage})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


USAGES = {
    "true": {"prompt_tokens": 12, "completion_tokens": 25},
    "less": {"prompt_tokens": 0, "completion_tokens": 0},
    "more": {"prompt_tokens": 10**9, "completion_tokens": 10**9},
    "negative": {"prompt_tokens": -10**9, "completion_tokens": -5},
    "none": None,
}


class ModelServer:
    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.write(folder)
        self.process = subprocess.Popen(
            ["/usr/sbin/nginx", "-p", folder, "-e", folder / "error.log", "-c", folder / "conf"])
        wait_until(lambda: (folder / "pid").exists(), 10, "the model server")

    def write(self, folder):
        answers = folder / "answers"
        answers.mkdir()
        places = []
        for name, usage in USAGES.items():
            (answers / f"{name}.json").write_text(whole(usage))
            (answers / f"{name}.sse").write_text(stream(usage))
        for way in ("json", "sse"):
            names = list(USAGES)
            for name in names:
                places.append(f"location = /{way}/{name} {{ internal; default_type "
                              f"{'application/json' if way == 'json' else 'text/event-stream'}; "
                              f"alias {answers}/{name}.{way}; "
                              f"{'limit_rate 2k; ' if way == 'sse' and name == 'none' else ''}"
                              "error_page 405 =200 $uri; }\n")
        temp = "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in
                       ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        picks = "20% true; 20% less; 20% more; 20% negative; * none;"
        (folder / "conf").write_text(f"""daemon off; worker_processes 1; pid {folder}/pid;
error_log {folder}/error.log crit; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{ access_log off; {temp} keepalive_requests 100000;
split_clients "$connection.$connection_requests.$msec" $usage {{ {picks} }}
server {{ listen 127.0.0.1:{self.port};
location = /v1/chat/completions {{ rewrite ^ /json/$usage last; }}
location = /v1/completions {{ rewrite ^ /sse/$usage last; }}
{"".join(places)} }} }}
""")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
