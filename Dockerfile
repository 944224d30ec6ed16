# "@sha256:...": pins the image below; `make digests` prints it
ARG PYTHON_DIGEST=
FROM python:3.11-slim${PYTHON_DIGEST}

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

COPY requirements.lock .
RUN pip install --require-hashes --no-deps -r requirements.lock

COPY . .
RUN useradd --create-home --uid 1000 app && mkdir /data /static && chown app /data /static
USER app
ENV VAR_DIR=/data STATIC_ROOT=/static PORT=8000
EXPOSE 8000
CMD ["gunicorn", "socialsongs.site.wsgi:application", "--worker-class", "socialsongs.site.server.BufferingWorker", "--workers", "2", "--threads", "4", "--graceful-timeout", "8", "--no-control-socket", "--access-logfile", "-", "--bind", "0.0.0.0:8000"]
