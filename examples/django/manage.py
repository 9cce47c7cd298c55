"""Django's command line for this project. To try it:

pip install 'jobsworth[django]'
python manage.py migrate
python manage.py createsuperuser
python manage.py runserver                  # http://127.0.0.1:8000/, with a worker inside

WORKER=outside python manage.py runserver   # or the worker as a process of its own:
python manage.py runjobs
"""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
