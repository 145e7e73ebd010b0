"""The official Python SDK (aliyun-iot-linkkit) as a gateway with two meters.

Argument: the port of the platform model on 127.0.0.1. Exit status 0 only if
every step was answered with success, in time.
"""

import json
import sys
import threading

from linkkit import linkkit

GATEWAY = ("a1GwDemoPk0", "gw-0001", "GwSecret0123456789abcdefABCDEF00")
METERS = [
    ["a1SubDemoPk", "meter-001", "SubSecret111111111111111111111111"],
    ["a1SubDemoPk", "meter-002", "SubSecret222222222222222222222222"],
]
PATIENCE = 30


class Step:
    """One thing the SDK calls back about."""

    def __init__(self, name):
        self.name = name
        self.done = threading.Event()
        self.result = None

    def __call__(self, *result):
        self.result = result
        self.done.set()

    def wait(self):
        if not self.done.wait(PATIENCE):
            sys.exit(f"{self.name}: no answer in {PATIENCE} s")
        print(f"{self.name}: {self.result}", flush=True)
        return self.result

    def succeed(self, sent):
        code, request_id = sent
        if code != 0:
            sys.exit(f"{self.name}: the SDK would not send it: {code}")
        answered_id, answered = self.wait()[:2]
        if str(answered_id) != str(request_id) or int(answered) != 200:
            sys.exit(f"{self.name}: asked {request_id}, got {self.result}")


def main():
    port = int(sys.argv[1])
    gateway = linkkit.LinkKit("127.0.0.1", *GATEWAY)
    gateway.config_mqtt(port=port, secure="", endpoint="127.0.0.1")
    gateway.thing_setup()

    connected, posted = Step("connect"), Step("post")
    # The SDK answers a property set by itself.
    changed = Step("property set")
    gateway.on_thing_prop_changed = changed
    added, logged_in = Step("topo add"), Step("batch login")
    logged_out, deleted = Step("batch logout"), Step("topo delete")
    gateway.on_connect = connected
    gateway.on_thing_prop_post = posted
    gateway.on_gateway_add_subdev_topo_reply = added
    gateway.on_gateway_login_subdev_reply = logged_in
    gateway.on_gateway_logout_subdev_reply = logged_out
    gateway.on_gateway_delete_subdev_topo_reply = deleted

    gateway.connect_async()
    connected.wait()
    added.succeed(gateway.gateway_add_subdev_topo(METERS))
    logged_in.succeed(gateway.gateway_login_subdev(METERS))
    posted.succeed(gateway.thing_post_property({"Load": 42}))
    for n, (product, name, _) in enumerate(METERS):
        # The SDK has no call for a meter's own values; this is its documented way.
        body = {"id": str(1000 + n), "version": "1.0", "params": {"Power": 100 + n}}
        topic = f"/sys/{product}/{name}/thing/event/property/post"
        code, _ = gateway.publish_topic(topic, json.dumps(body), 0)
        if code != 0:
            sys.exit(f"publish {topic}: {code}")
    params, _ = changed.wait()
    if params != {"Limit": 7}:
        sys.exit(f"property set: got {params}")
    logged_out.succeed(gateway.gateway_logout_subdev([METERS[0]]))
    deleted.succeed(gateway.gateway_delete_subdev_topo([METERS[0]]))
    logged_out.done.clear()
    logged_out.succeed(gateway.gateway_logout_subdev([METERS[1]]))
    gateway.disconnect()
    print("done", flush=True)


main()
