"""Plays the mobile BFF against a running server: a chat page, a page of 200 notes, the taps.

A client of another make than the server: the official C-core gRPC library, with stubs made
from the proto files alone, every message compressed, a deadline on every call. The caller
has set up what is asked for here: a merchant with a chat menu, and two notes with capsules,
whose WeCom contact is an acquisition link.

    tests/tools/with-tools sh -c '"$TEST_PYTHON" tests/bff/bff.py --target 127.0.0.1:50051 \
        --merchant klook --notes hongkong-3-days,tokyo-food'

Prints one line of JSON; exit status 1 and a sentence on the first thing that is not as the
contract says.
"""

import argparse
import json
import re
import sys
import time
import uuid
from urllib.parse import parse_qsl, unquote, urlsplit

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from stubs import load

card_pb, reasons_pb, serving_pb, serving_grpc = load(
    "card_pb2", "error_reason_pb2", "serving_pb2", "serving_pb2_grpc"
)
Kind = card_pb.Contact.Kind
Step = serving_pb.Step.Kind
Platform = serving_pb.Viewer.Platform
Container = serving_pb.Environment.Container

DEADLINE = 5.0
PAGE = 200
PLACES = (7, 150)  # where on the page the two notes with capsules are
LONGEST_ANSWER = 15 * 60
SERVICE = "mingpian.v1.ServingService"
SCHEME = "weixin://biz/ww/profile/"


class Mismatch(Exception):
    """Something is not as the contract says."""


def check(holds, sentence):
    if not holds:
        raise Mismatch(sentence)


class Bff:
    """One channel for all, as a BFF has, and who looks."""

    def __init__(self, target, bearer):
        self.channel = grpc.insecure_channel(target, compression=grpc.Compression.Gzip)
        self.serving = serving_grpc.ServingServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)
        self.metadata = [("authorization", f"Bearer {bearer}")] if bearer else []
        self.viewer = serving_pb.Viewer(
            viewer_id="bff-viewer", platform=Platform.IOS, app_version="8.1", locale="zh-CN"
        )

    def call(self, method, request):
        return method(request, timeout=DEADLINE, metadata=self.metadata)

    def menu(self, merchant, known_version=""):
        request = serving_pb.GetChatMenuRequest(
            merchant=f"merchants/{merchant}", viewer=self.viewer, known_version=known_version
        )
        return self.call(self.serving.GetChatMenu, request)

    def capsules(self, notes):
        request = serving_pb.BatchGetNoteCapsulesRequest(notes=notes, viewer=self.viewer)
        return self.call(self.serving.BatchGetNoteCapsules, request)

    def tap(self, token, container=Container.NATIVE_APP):
        request = serving_pb.OpenCardRequest(
            tap_token=token,
            viewer=self.viewer,
            environment=serving_pb.Environment(platform=Platform.IOS, container=container),
        )
        return self.call(self.serving.OpenCard, request)


def refusal(call, what):
    """The names of the code and the reason with which a call is refused."""
    try:
        call()
    except grpc.RpcError as error:
        code = error.code()
        status = rpc_status.from_call(error)
    else:
        raise Mismatch(f"{what} was not refused")
    check(status is not None, f"{what}: {code.name} without details")
    info = error_details_pb2.ErrorInfo()
    check(any(detail.Unpack(info) for detail in status.details), f"{what}: no ErrorInfo")
    check(info.domain == "mingpian", f"{what}: domain {info.domain!r}")
    return code.name, info.reason


def health(bff):
    for service in ("", SERVICE):
        answer = bff.call(bff.health.Check, health_pb2.HealthCheckRequest(service=service))
        check(
            answer.status == health_pb2.HealthCheckResponse.SERVING,
            f"health of {service!r} is {answer.status}",
        )


def check_until(answer, what):
    left = answer.valid_until.seconds - time.time()
    check(-1 <= left <= LONGEST_ANSWER + 1, f"{what}: valid_until is {left:.0f} s away")


def check_item(item, what):
    check(re.fullmatch(r"[0-9A-Za-z_-]{64}", item.tap_token), f"{what}: form of the tap token")
    check(item.open_uri.endswith("/t/" + item.tap_token), f"{what}: open_uri {item.open_uri}")
    check(item.label and item.preview and item.icon, f"{what}: label, preview or icon is empty")
    check(not re.search(r"\d{7}", item.preview), f"{what}: the preview is not masked")
    check(item.kind != Kind.KIND_UNSPECIFIED, f"{what}: no kind")


def chat_page(bff, merchant):
    menu = bff.menu(merchant)
    absence = reasons_pb.ErrorReason.Name(menu.absence.reason)
    check(1 <= len(menu.items) <= 3, f"chat menu: {len(menu.items)} items, absence {absence}")
    check_until(menu, "chat menu")
    for item in menu.items:
        check_item(item, "chat menu")
        check(
            item.placement.startswith(f"merchants/{merchant}/placements/"),
            f"chat menu: placement {item.placement}",
        )
    again = bff.menu(merchant, known_version=menu.version)
    check(again.not_modified and not again.items, "chat menu: known_version is sent again")
    return list(menu.items)


def note_page(bff, with_capsules):
    notes = [f"notes/bff-{i}" for i in range(PAGE)]
    for place, note in zip(PLACES, with_capsules):
        notes[place] = f"notes/{note}"
    answer = bff.capsules(notes)
    check([r.note for r in answer.results] == notes, "note page: not in the order asked")
    check_until(answer, "note page")
    for place, result in enumerate(answer.results):
        what = f"note page: {result.note}"
        if place in PLACES:
            absence = reasons_pb.ErrorReason.Name(result.absence.reason)
            check(result.WhichOneof("outcome") == "item", f"{what} is absent: {absence}")
            check_item(result.item, what)
        else:
            check(result.absence.reason == reasons_pb.PLACEMENT_NOT_FOUND, f"{what} has no absence")
    return [answer.results[place].item for place in PLACES]


def check_wecom(steps, token, in_wechat):
    link = steps[-1].uri
    url = urlsplit(link)
    check((url.scheme, url.netloc) == ("https", "work.weixin.qq.com"), f"leads to {link}")
    channels = [value for key, value in parse_qsl(url.query) if key == "customer_channel"]
    check(channels == [token], "customer_channel is not the token")
    kinds = [step.kind for step in steps]
    if in_wechat:
        check(kinds == [Step.HTTPS], "in WeChat only the https link opens")
        return
    check(kinds == [Step.URL_SCHEME, Step.HTTPS], "the scheme comes first, then the https link")
    scheme = steps[0].uri
    check(scheme.startswith(SCHEME), f"the scheme is {scheme}")
    quoted = scheme[len(SCHEME) :]
    check(unquote(quoted) == link, "the scheme does not hold the link, encoded once")
    check(not re.search(r"[^0-9A-Za-z%._~-]", quoted), "the link in the scheme is not encoded")


def check_plan(plan, item, in_wechat):
    check(plan.kind == item.kind, "the plan is for another kind")
    check(plan.expire_time.seconds > time.time() - 1, "the plan has expired")
    check(plan.steps, "the plan has no steps")
    if in_wechat:
        check(
            all(step.kind != Step.URL_SCHEME for step in plan.steps),
            "a scheme in WeChat's webview, which blocks them",
        )
    first = plan.steps[0]
    if item.kind == Kind.WECOM:
        check_wecom(plan.steps, item.tap_token, in_wechat)
    elif item.kind == Kind.PHONE:
        check(first.kind == Step.DIAL and first.uri.startswith("tel:"), "nothing to dial")
    else:
        check(first.kind == Step.COPY_TEXT and first.text, "nothing to copy")


def tap_all(bff, items):
    """Taps each item in the app and in WeChat; returns the names of the taps."""
    events = []
    for item in items:
        of_item = set()
        for container in (Container.NATIVE_APP, Container.WECHAT_WEBVIEW):
            where = f"tap {Kind.Name(item.kind)} in {Container.Name(container)}"
            plan = bff.tap(item.tap_token, container)
            try:
                check_plan(plan, item, container == Container.WECHAT_WEBVIEW)
                of_item.add(uuid.UUID(plan.event_id))
            except (Mismatch, ValueError) as error:
                raise Mismatch(f"{where}: {error}") from error
        check(len(of_item) == 1, "one token has two event_ids")
        events.extend(of_item)
    check(len(set(events)) == len(events), "two tokens have one event_id")
    return events


def refused_taps(bff, token):
    refused = ("INVALID_ARGUMENT", "TOKEN_FORGED")
    for place in (0, 31, 63):
        other = "B" if token[place] == "A" else "A"
        tampered = token[:place] + other + token[place + 1 :]
        got = refusal(lambda: bff.tap(tampered), "a tampered token")
        check(got == refused, f"a token tampered with at {place}: {got}")
    got = refusal(lambda: bff.tap("short"), "a malformed token")
    check(got == ("INVALID_ARGUMENT", "TOKEN_MALFORMED"), f"a short token: {got}")


def no_credentials(bff, merchant):
    request = serving_pb.GetChatMenuRequest(merchant=f"merchants/{merchant}", viewer=bff.viewer)
    got = refusal(lambda: bff.serving.GetChatMenu(request, timeout=DEADLINE), "no credentials")
    check(got == ("UNAUTHENTICATED", "CREDENTIALS_MISSING"), f"no bearer: {got}")


def play(arguments):
    bff = Bff(arguments.target, arguments.bearer)
    with bff.channel:
        grpc.channel_ready_future(bff.channel).result(timeout=10)
        health(bff)
        menu = chat_page(bff, arguments.merchant)
        capsules = note_page(bff, arguments.notes)
        taps = tap_all(bff, menu + capsules)
        refused_taps(bff, menu[0].tap_token)
        if arguments.bearer:
            no_credentials(bff, arguments.merchant)
    return {
        "menu": [Kind.Name(item.kind) for item in menu],
        "notes": PAGE,
        "capsules": [Kind.Name(item.kind) for item in capsules],
        "taps": len(taps),
        "authenticated": bool(arguments.bearer),
    }


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", required=True, help="host:port of the gRPC listener")
    parser.add_argument("--merchant", required=True, help="id of a merchant with a chat menu")
    parser.add_argument("--notes", required=True, help="ids of two notes with capsules: a,b")
    parser.add_argument("--bearer", help="a token for `authorization: Bearer …`")
    parsed = parser.parse_args(arguments)
    parsed.notes = parsed.notes.split(",")
    if len(parsed.notes) != len(PLACES) or not all(parsed.notes):
        parser.error("--notes takes two ids")
    return parsed


def main():
    arguments = parse(sys.argv[1:])
    try:
        print(json.dumps(play(arguments)))
    except Mismatch as error:
        sys.exit(f"bff: {error}")
    except grpc.FutureTimeoutError:
        sys.exit(f"bff: no server at {arguments.target}")
    except grpc.RpcError as error:
        sys.exit(f"bff: unexpected {error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
