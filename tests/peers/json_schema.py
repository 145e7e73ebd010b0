"""Judges thing models by a JSON schema and by the platform's rules that no schema can say.

    json_schema.py SCHEMA

Reads a model a line, {"name": …, "model": …}, and writes a line for each,
{"name": …, "problems": […]}. The schema is judged first, by the schema of schemas.
"""

import json
import sys
from decimal import Decimal

from jsonschema import Draft202012Validator

# "Limits": properties, events and services of a module together, without the three
# that the platform makes by itself.
FUNCTIONS = 300
GENERATED = {"events": {"post"}, "services": {"set", "get"}}
INT = (-(2**31), 2**31 - 1)


def lists(model):
    """Each list whose identifiers are those of one kind, with where it is."""
    for kind in ("properties", "events", "services"):
        yield kind, model[kind]
        for function in model[kind]:
            for key in ("inputData", "outputData"):
                named = [p for p in function.get(key, []) if isinstance(p, dict)]
                yield f"{kind}/{function['identifier']}/{key}", named


def types(model):
    """Each data type, with where it is."""
    for where, entries in lists(model):
        for entry in entries:
            if "dataType" in entry:
                yield f"{where}/{entry['identifier']}", entry["dataType"]


def rules(model):
    """What no schema can say."""
    functions = 0
    for where, entries in lists(model):
        for key in ("identifier", "name"):
            all_of = [entry[key] for entry in entries]
            for twice in sorted({one for one in all_of if all_of.count(one) > 1}):
                yield f"{where}: {key} {twice} twice"
        if "/" not in where:
            made = GENERATED.get(where, set())
            functions += sum(entry["identifier"] not in made for entry in entries)
    if functions > FUNCTIONS:
        yield f"{functions} functions"
    properties = [entry["identifier"] for entry in model["properties"]]
    writable = [e["identifier"] for e in model["properties"] if e["accessMode"] == "rw"]
    services = {service["identifier"]: service for service in model["services"]}
    events = {event["identifier"]: event for event in model["events"]}
    if services["get"]["inputData"] != properties:
        yield "get: its inputs are not the properties"
    if [p["identifier"] for p in services["set"]["inputData"]] != writable:
        yield "set: its inputs are not the properties that can be written"
    for name, function in (("get", services["get"]), ("post", events["post"])):
        if [p["identifier"] for p in function["outputData"]] != properties:
            yield f"{name}: its outputs are not the properties"
    for kind, verb in (("events", "thing.event.{}.post"), ("services", "thing.service.{}")):
        for function in model[kind]:
            own = function["identifier"] not in GENERATED[kind]
            if own and function["method"] != verb.format(function["identifier"]):
                yield f"{kind}/{function['identifier']}: method {function['method']}"
    for where, kind in types(model):
        specs = kind["specs"]
        if kind["type"] in ("int", "float", "double"):
            least, most = Decimal(specs["min"]), Decimal(specs["max"])
            if least > most:
                yield f"{where}: min {least} is more than max {most}"
            if kind["type"] == "int" and not INT[0] <= least <= most <= INT[1]:
                yield f"{where}: {least} to {most} is no int"
        if kind["type"] == "enum" and not all(INT[0] <= int(key) <= INT[1] for key in specs):
            yield f"{where}: a state that is no int"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for line in sys.stdin:
        asked = json.loads(line)
        model = asked["model"]
        problems = [f"{e.json_path}: {e.message}" for e in validator.iter_errors(model)]
        # The rules need the shape that the schema has found.
        problems = problems or list(rules(model))
        print(json.dumps({"name": asked["name"], "problems": problems}), flush=True)


main()
