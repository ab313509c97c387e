"""For those who start gunicorn themselves: ``gunicorn -c deploy/gunicorn.conf.py``.

The same as ``jobspool serve``, set by the same ``JOBSPOOL_`` variables.
"""

from service import logs
from service.server import gunicorn_options
from service.settings import load_settings

settings = load_settings()
logs.configure(settings.log_format, settings.log_level)
globals().update(gunicorn_options(settings))
wsgi_app = "service.server:built_in_the_worker"
