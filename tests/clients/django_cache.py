"""A Django application whose cache and sessions are in the server: usage `django_cache.py HOST PORT`; exit status 0 is success."""

import sys

import django
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import cache_page

HOUR = 3600


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def configure(url):
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.configure(
        SECRET_KEY="secret",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        INSTALLED_APPS=["django.contrib.sessions"],
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        CACHES={
            "default": {"BACKEND": backend, "LOCATION": f"{url}/0", "KEY_PREFIX": "one"},
            "other": {"BACKEND": backend, "LOCATION": f"{url}/0", "KEY_PREFIX": "two", "TIMEOUT": None},
            "third": {"BACKEND": backend, "LOCATION": f"{url}/3"},
        },
        USE_TZ=True,
    )
    django.setup()
    # A view that is cached asks for the settings.
    urlpatterns.append(path("page/<name>", cache_page(HOUR)(page)))


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def leave(request):
    request.session.flush()
    return HttpResponse("gone")


def page(request, name):
    rendered.append(request.path)
    return HttpResponse(f"rendering {len(rendered)}")


# The pages that were rendered, as they were not in the cache.
rendered = []
urlpatterns = [path("visits", visits), path("leave", leave)]


def values():
    from django.core.cache import caches

    cache, other, third = caches["default"], caches["other"], caches["third"]
    cache.clear()
    third.clear()
    cache.set("key", {"a": [1, "ü", None]}, HOUR)
    check(cache.get("key"), {"a": [1, "ü", None]}, "a value")
    check((other.get("key"), third.get("key", "none")), (None, "none"), "a value of another prefix, or database")
    check((cache.add("key", 1), cache.add("new", 1)), (False, True), "add")
    check(cache.get_many(["key", "new", "none"]), {"key": {"a": [1, "ü", None]}, "new": 1}, "get_many")
    many = {f"many:{number}": number for number in range(200)}
    check(cache.set_many(many, HOUR), [], "what set_many failed to set")
    check(cache.get_many(many), many, "values of every core")
    cache.delete_many(list(many)[:150])
    check(len(cache.get_many(many)), 50, "values in the end")
    check((cache.incr("new"), cache.incr("new", 10), cache.decr("new", 2), cache.get("new")), (2, 12, 10, 10), "incr")
    try:
        cache.incr("none")
        raise AssertionError("what is not there is counted")
    except ValueError:
        pass
    check((cache.touch("key", 2 * HOUR), cache.touch("none", HOUR)), (True, False), "touch")
    check(cache.touch("key", None), True, "touch, for ever")
    cache.set("gone", 1, 0)
    check((cache.has_key("gone"), cache.has_key("key")), (False, True), "has_key")
    check((cache.delete("key"), cache.delete("key")), (True, False), "delete")
    cache.set("key", 1, version=1)
    check(cache.incr_version("key"), 2, "a version")
    check((cache.get("key"), cache.get("key", version=2)), (None, 1), "values of versions")
    other.set("kept", b"\x00\xff")
    check(other.get("kept"), b"\x00\xff", "bytes")
    third.set("kept", 3)
    cache.clear()
    check((cache.get("new"), other.get("kept"), third.get("kept")), (None, None, 3), "what clear leaves")


def pages():
    from django.core.cache import cache
    from django.test import Client

    cache.clear()
    browsers = [Client() for _ in range(20)]
    for visit in range(1, 4):
        for browser in browsers:
            check(browser.get("/visits").json(), {"visits": visit}, "visits")
    check(browsers[0].get("/leave").content, b"gone", "a session that ends")
    check([browser.get("/visits").json()["visits"] for browser in browsers[:2]], [1, 4], "sessions after that")
    anybody = Client()
    check({anybody.get("/page/one").content for _ in range(10)}, {b"rendering 1"}, "a page that is cached")
    check(anybody.get("/page/two").content, b"rendering 2", "another page")
    check(rendered, ["/page/one", "/page/two"], "pages that were rendered")


def main():
    configure(f"redis://{sys.argv[1]}:{sys.argv[2]}")
    values()
    pages()
    print("django: all right")


if __name__ == "__main__":
    main()
