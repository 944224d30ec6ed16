PYTHON ?= python3.11
PORT ?= 8000
BIN := .venv/bin
READY := .venv/.ready
TOOLS := .venv/tools
LOCK := requirements.lock
SBOM := sbom.cdx.json
OSV := https://api.osv.dev/v1/query

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(READY)  ## make the virtual environment .venv and install the pinned requirements

$(READY): requirements.txt requirements-embedded.txt recommender/train/requirements.txt tests/requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: $(PYTHON) was not found (or: make PYTHON=/path/to/python3.11)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

$(TOOLS)/.ready: requirements-tools.txt
	test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-tools.txt
	@touch $@

tools: $(TOOLS)/.ready  ## make an environment for dist, sbom, audit and lock

demo: setup  ## run everything on this machine; another port: make demo PORT=8001
	@$(BIN)/python manage.py demo --port $(PORT)

test: lint $(TOOLS)/.ready  ## lint, types, checks and all tests, on two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup  ## ruff, mypy, migrations, deployment check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run
	SECRET_KEY=$$($(BIN)/python -c "import secrets; print(secrets.token_urlsafe(60))") $(BIN)/python manage.py check --deploy --fail-level WARNING

schema: setup  ## write the OpenAPI snapshot, docs/openapi.yaml
	$(BIN)/python manage.py spectacular --file docs/openapi.yaml --validate --fail-on-warn

settings: setup  ## write the table of settings in docs/operations.md
	$(BIN)/python -m tests.settings_table docs/operations.md

adoption: setup  ## write what a site edits to adopt the plugin into docs/getting-started.md
	$(BIN)/python -m tests.adoption docs/getting-started.md

permissions: setup  ## write the table of permissions in docs/security.md
	$(BIN)/python -m tests.permissions docs/security.md

messages: setup  ## bring the German catalogues (socialsongs/locale) in line with the code
	$(BIN)/python -m tests.messages

lock: $(TOOLS)/.ready  ## write requirements.lock, which the image installs; after a change of requirements.txt
	$(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url requirements.txt --output-file requirements.lock

dist: $(TOOLS)/.ready  ## build and check the wheel and the source distribution in dist/, and print their bytes
	rm -rf build dist *.egg-info
	$(TOOLS)/bin/python -m build --no-isolation --outdir dist
	$(TOOLS)/bin/twine check --strict dist/*
	@cd dist && wc -c *

sbom: $(TOOLS)/.ready  ## write what the image installs as a software bill of materials (CycloneDX): sbom.cdx.json
	@PYTHONWARNINGS=ignore::UserWarning $(TOOLS)/bin/cyclonedx-py requirements $(LOCK) --pyproject pyproject.toml --output-reproducible --output-format JSON --output-file $(SBOM)

audit: $(TOOLS)/.ready  ## compare what the image installs with the known vulnerabilities (osv.dev, by the network)
	@log="$$(mktemp)"; trap 'rm "$$log"' EXIT; \
	$(TOOLS)/bin/pip-audit --disable-pip --no-deps --require-hashes --progress-spinner off --vulnerability-service osv --osv-url $(OSV) --requirement $(LOCK) 2>"$$log"; \
	status=$$?; \
	if grep -qE "ConnectionError|ConnectTimeout|ServiceError|HTTPError" "$$log"; then echo "NOTHING WAS AUDITED: $(OSV) does not answer. Run this where it can be reached." >&2; exit 2; fi; \
	tail -n 1 "$$log"; exit $$status

digests:  ## print the digests of the base images as variables for .env (by docker, from the registry)
	@python="$$(sed -n 's/^FROM \(python:[^$$]*\).*/\1/p' Dockerfile)"; \
	for image in PYTHON=$$python $$(sed -n 's/^ *image: \([^$$]*\)$${\([A-Z]*\)_DIGEST:-}$$/\2=\1/p' docker-compose.yml); do \
	    digest="$$(docker buildx imagetools inspect "$${image#*=}" --format '{{.Manifest.Digest}}')" || exit 1; \
	    echo "$${image%%=*}_DIGEST=@$$digest"; \
	done

bench: setup  ## run the benches that need no photos and songs of your own
	@for script in $(filter-out bench/diversity.py bench/scale.py,$(wildcard bench/*.py)); do $(BIN)/python $$script || exit 1; done

faults: setup  ## run the fault tests and write their table to docs/operations.md
	$(BIN)/python -m pytest tests/faults -p tests.faults.table --fault-table docs/operations.md

soak: setup  ## upload 5,000 posts in ten minutes while processes and servers are killed
	$(BIN)/python -m tests.faults.soak --posts 5000 --minutes 10 --seed 1

bombs: setup  ## post 2,000 hostile photos: none may break anything, or take over 2 s or 300 MB
	$(BIN)/python -m tests.hostile --files 2000 --seed 1

fuzz: setup  ## upload 5,000 broken files and send 10,000 requests made from the schema to a real site
	$(BIN)/python -m tests.fuzz --files 5000 --cases 10000 --seed 1

.PHONY: help setup tools demo test lint schema settings permissions messages lock dist sbom audit digests bench faults soak bombs fuzz
.DEFAULT_GOAL := help
