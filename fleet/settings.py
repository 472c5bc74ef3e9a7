"""All settings; the only reader of the environment.

Names of the environment: DATABASE_URL, FLEET_VAR, FLEET_PRODUCTION, FLEET_SECRET_KEY(_FILE), FLEET_SEAL_KEYS(_FILE),
FLEET_HOSTS, FLEET_LEASE_SECONDS, FLEET_TICK_SECONDS, FLEET_SITE_URL, FLEET_PRIVATE_WEBHOOKS, FLEET_MAIL_URL, FLEET_MAIL_FROM.
Without DATABASE_URL the address of the embedded PostgreSQL is read from `var/database.url`, which `manage.py up` writes
while it runs.
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from csp.constants import NONE, SELF
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("FLEET_VAR", ROOT / "var"))
PRODUCTION = os.environ.get("FLEET_PRODUCTION", "") == "1"
DEBUG = False


def _secret(name: str, file: str) -> str:
    """Return the secret `name` from the environment, from the file that `name`_FILE names, or from var/`file`."""
    if name in os.environ:
        return os.environ[name]
    path = Path(os.environ.get(f"{name}_FILE", VAR / file))
    return path.read_text().strip() if path.is_file() else ""


def _database() -> dict[str, object]:
    """Return Django's description of the database from DATABASE_URL or from the running embedded PostgreSQL."""
    url = os.environ.get("DATABASE_URL") or _secret("FLEET_DATABASE_URL", "database.url")
    parts = conninfo_to_dict(url) if url else {}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", "fleet"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", "/nonexistent"),  # no socket: a command run without `up` says that nothing listens
        "PORT": parts.pop("port", ""),
        "OPTIONS": parts,
        # No pool: it breaks when django-q2 forks. Health checks replace connections that a restart of PostgreSQL cut.
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }


SECRET_KEY = _secret("FLEET_SECRET_KEY", "secret-key") or ("" if PRODUCTION else "only-for-commands-that-sign-nothing")
SEAL_KEYS = _secret("FLEET_SEAL_KEYS", "seal-keys").split()
ALLOWED_HOSTS = os.environ.get("FLEET_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "fleet",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "django_filters",
    "django_htmx",
    "django_q",
    "csp",
    "template_partials",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "fleet.web.frame.middleware.TextInUtf8Middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "fleet.web.frame.middleware.HtmxRulesMiddleware",
    "fleet.web.frame.middleware.SignInRequiredMiddleware",
]

ROOT_URLCONF = "fleet.urls"
WSGI_APPLICATION = "fleet.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": _database()}

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["template_partials.templatetags.partials", "fleet.web.templatetags.fleet"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "fleet.web.frame.context.everywhere",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

AUTH_USER_MODEL = "fleet.User"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "sign-in"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "fleet.web.frame.errors.csrf_failure"

LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
USE_THOUSAND_SEPARATOR = False

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [ROOT / "static"]
# Straight from the packages' own folders: nothing to collect before a first start.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# A draft of ten thousand machines posts ten thousand ids.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}
if PRODUCTION:
    SECURE_SSL_REDIRECT = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# How long a claimed machine is one worker's. After a worker was killed its machines are taken over when this is over.
LEASE_SECONDS = float(os.environ.get("FLEET_LEASE_SECONDS", "60"))
# How long a tick of the worker works at most; with the last calls that it makes, it ends before 30.
TICK_SECONDS = float(os.environ.get("FLEET_TICK_SECONDS", "25"))

# Messages. Links in them begin with the site's own address; without it they are paths.
SITE_URL = os.environ.get("FLEET_SITE_URL", "")
# Outside of production a receiver may be on this machine or in its network; in production that has to be asked for.
PRIVATE_WEBHOOKS = os.environ.get("FLEET_PRIVATE_WEBHOOKS", "" if PRODUCTION else "1") == "1"
# smtp://name:password@host:port, or smtps:// for TLS from the first byte; without it no e-mail is sent.
_MAIL = urlsplit(os.environ.get("FLEET_MAIL_URL", ""))
MAIL_ON = bool(_MAIL.hostname)
EMAIL_HOST, EMAIL_PORT = _MAIL.hostname or "", _MAIL.port or (465 if _MAIL.scheme == "smtps" else 587)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_MAIL.username or ""), unquote(_MAIL.password or "")
EMAIL_USE_SSL = _MAIL.scheme == "smtps"
EMAIL_USE_TLS = MAIL_ON and not EMAIL_USE_SSL
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = os.environ.get("FLEET_MAIL_FROM", "fleet-os@localhost")

# django-q2 is the doorbell, never the truth. The inequalities between these numbers are held by a test.
Q_CLUSTER = {
    "name": "fleet",
    "orm": "default",
    "workers": 3,  # two may run ticks, one is left for the mirror
    "timeout": 60,  # longer than one tick (30 s) and its last calls
    "retry": 240,  # > (timeout + 3) x (1 + (queue_limit + bulk) / workers), with room: a tick is never handed out twice
    "queue_limit": 1,
    "bulk": 1,
    "ack_failures": True,  # django-q2 must not retry: the rows do
    "max_attempts": 1,
    "save_limit": -1,  # results are not kept; the truth is in our own tables
    "recycle": 500,
    "guard_cycle": 0.5,  # its timer is compared with == 0: only exact binary fractions ever kill a stuck task
    "catch_up": False,
    "poll": 0.2,
    "compress": False,
    "label": "Queue",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "fleet.lib.redact.RedactingFilter"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["redact"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # The SDK logs whole request URLs, urllib3 whole parameters: neither may speak.
        "aliyunsdkcore": {"level": "CRITICAL", "propagate": False},
        "urllib3": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "django-q": {"level": "WARNING"},
    },
}
