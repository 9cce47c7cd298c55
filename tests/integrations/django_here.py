"""Sets the test project django_site up in this process. To be imported before anything of Django's or the project's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_site.settings")
django.setup()
