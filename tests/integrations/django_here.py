"""Sets the test project django_site up in this process. To be imported before anything of Django's or the project's."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

import django
from django.conf import settings

HERE = Path(__file__).parent
SETTINGS = {"DJANGO_SETTINGS_MODULE": "django_site.settings"}
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))
with mock.patch.dict("os.environ", SETTINGS):  # programs that other tests start are in no project of Django's
    assert settings.SECRET_KEY
    django.setup()
