# The lab as a graph of files: what is older than what it is made from is made again, nothing else.
#
#   data/D/dataset.yml, raw files ──▶ reports/D/executed/01_validation.ipynb ──▶ … 02_linkage.ipynb
#       ──▶ … 03, 04, 05 … .ipynb ──▶ … 00_summary.ipynb; each ──▶ reports/D/*.html
#
# An executed notebook is put in place last, after all that it writes: it stands for its results.
# So does truth/world.json for the raw files of the demo.

# What is typed after make stands for itself: no variable of make's and no command is looked for in it.
$(foreach typed,DATASET DEMO_CUSTOMERS FROM COLUMN A B NOTEBOOK,$(if $(filter-out undefined,$(origin \
	$(typed))),$(eval override $(typed) := $$(value $(typed)))))
DATASET ?= demo
DEMO_CUSTOMERS ?= $(shell sed -n 's/^  customers: *\([0-9]*\).*/\1/p' data/demo/dataset.yml 2>/dev/null)
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
.PHONY: report pdf compare new data/demo spark test test-spark study fuzz lab golden lint bench sbom trust lock \
	clean help FORCE

D := data/$(DATASET)
R := reports/$(DATASET)
NOTEBOOKS := $(sort $(wildcard notebooks/[0-9]*.ipynb))
STEMS := $(NOTEBOOKS:notebooks/%.ipynb=%)
executed = $(1:%=$(R)/executed/%.ipynb)

# Matrices here are small: threads of linear algebra wait for each other most of their time, and the
# more, the busier the machine is.
export OPENBLAS_NUM_THREADS := 1

# ---- The environment: an activated conda environment, or else .venv, built when first needed.

ifneq ($(filter-out base,$(CONDA_DEFAULT_ENV)),)
PYTHON := "$(CONDA_PREFIX)/bin/python"
LAB_PYTHON := $(PYTHON)
REPORT_READY := .build/conda-$(CONDA_DEFAULT_ENV)
TEST_READY := $(REPORT_READY)
LAB_READY := $(REPORT_READY)
SPARK_READY := .build/conda-spark-$(CONDA_DEFAULT_ENV)
BENCH_READY := .build/conda-bench-$(CONDA_DEFAULT_ENV)
else
PYTHON := .venv/bin/python
LAB_PYTHON := .venv-lab/bin/python
REPORT_READY := .venv/.report-ready
TEST_READY := .venv/.test-ready
LAB_READY := .venv-lab/.ready
SPARK_READY := .venv/.spark-ready
BENCH_READY := .venv/.bench-ready
endif

# The first of these that is new enough builds .venv.
FIND_PYTHON = for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done; \
	echo "Python 3.11 or newer is needed, and $$(python3 --version 2>&1) was found. Install it." >&2; exit 1
# Bytecode is compiled here once: where Python may not write it later, imports take three times as long.
INSTALL = -m pip install --disable-pip-version-check --progress-bar on --require-hashes -r
COMPILE = -m compileall -q -j 0

.build/conda-%: environment.yml
	@$(PYTHON) -c "import loyaltylab, nbval, papermill" || { echo "The conda environment $* lacks \
	what the lab needs. Run: conda env update --file environment.yml" >&2; exit 1; }
	@mkdir -p $(@D) && touch $@

.venv/.report-ready: requirements.lock pyproject.toml
	@echo "Building .venv; this happens once and takes a few minutes."
	@python=$$($(FIND_PYTHON)) && $$python -m venv .venv
	.venv/bin/python $(INSTALL) requirements.lock
	.venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@.venv/bin/python $(COMPILE) .venv/lib src
	@touch $@

.venv/.test-ready: .venv/.report-ready requirements-test.lock requirements-febrl.lock
	.venv/bin/python $(INSTALL) requirements-test.lock
	.venv/bin/python $(INSTALL) requirements-febrl.lock --no-deps
	@.venv/bin/python $(COMPILE) .venv/lib
	@touch $@

# Spark is for `engine: {spark: …}`; once it is there, `make test` tries it as well.
$(SPARK_READY) $(BENCH_READY): $(REPORT_READY)
	$(PYTHON) $(INSTALL) $(filter %.lock,$^)
	@touch $@
$(SPARK_READY): requirements-spark.lock
$(BENCH_READY): requirements-bench.lock

# JupyterLab has an environment of its own: its server would slow every notebook's start.
.venv-lab/.ready: .venv/.report-ready requirements-lab.lock
	@python=$$($(FIND_PYTHON)) && $$python -m venv .venv-lab
	.venv-lab/bin/python $(INSTALL) requirements-lab.lock
	.venv/bin/python -m ipykernel install --prefix .venv-lab --name python3 --display-name "Loyalty Lab"
	@touch $@

# ---- The report of one dataset.

HASH := \#
# Signs of make's, of the shell's or of paths: a name without them is a name to all three.
SIGNS := $$ $(HASH) & | ; < > ( ) [ ] { } ' " ` \ / * ? ! ~ ^ % = : , ..
ifneq ($(words $(DATASET))$(strip $(foreach sign,$(SIGNS),$(findstring $(sign),$(DATASET)))),1)
$(error DATASET: expected the name of one folder below data/, without spaces and signs of make or a shell)
endif
ifeq ($(origin DEMO_CUSTOMERS),override)
ifneq ($(strip $(foreach sign,$(SIGNS),$(findstring $(sign),$(DEMO_CUSTOMERS)))),)
$(error DEMO_CUSTOMERS: expected a whole number)
endif
endif

# One run at a time on a dataset: what is made of it is made by a make of its own, which has the dataset's
# lock as long as it or anything that it started runs, and reads this file once the last run is tidied up.
WRITTEN := $(filter report pdf data/% reports/%,$(MAKECMDGOALS))
# (make -n only says what it would do.)
IS_TOLD := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
IS_ALONE := $(IS_TOLD)$(findstring <$(CURDIR)/$(D)>,<$(LOYALTYLAB_HELD)>)
ifneq ($(if $(IS_ALONE),,$(WRITTEN)),)
.PHONY: alone $(MAKECMDGOALS)
$(MAKECMDGOALS): alone ;
alone: | $(REPORT_READY)
	+@exec $(PYTHON) -m loyaltylab alone $(D) $(MAKE) --no-print-directory $(MAKECMDGOALS)
else

# The module that a notebook is about, by name: 03_retention reads retention.py. All modules but
# these and the ones that make pages serve every notebook.
topic = $(subst $(firstword $(subst _, ,$1))_,,$1)
subject = $(wildcard src/loyaltylab/$(call topic,$1).py src/loyaltylab/$(call topic,$1)/*.py)
SUBJECTS := $(foreach stem,$(STEMS),$(call subject,$(stem)))
PAGE_MODULES := src/loyaltylab/report.py src/loyaltylab/markup.py
# What the summary reads of earlier reports: no other notebook does.
HISTORY_MODULES := $(patsubst %,src/loyaltylab/%.py,history provenance changes since)
# What stands around a run or a page, and changes nothing in them.
AROUND := $(patsubst %,src/loyaltylab/%.py,__main__ failure shortage progress pdf warm stub alone)
COMMON := $(filter-out $(SUBJECTS) $(PAGE_MODULES) $(HISTORY_MODULES) $(AROUND), \
	$(wildcard src/loyaltylab/*.py))
PAGE_PARTS := $(PAGE_MODULES) $(wildcard src/loyaltylab/template/*)

# The words of a report that is not in English.
LANGUAGE := $(shell sed -n 's/^language: *\([a-z]*\).*/\1/p' $(D)/dataset.yml 2>/dev/null)
CATALOGUES := $(if $(LANGUAGE),$(wildcard src/loyaltylab/languages/$(LANGUAGE)/*.po))

# FORCE where a file of the dataset, or a folder of its files, is newer than $1 (names may hold
# spaces). A file copied with its old date (cp -p, unzip) is told by when its entry changed.
DERIVED := fetched validated quarantine audit linked results downloads .scratch .failed .checked .passed
# Never removed: the key of persons' numbers and who was forgotten, written by linkage; the lock.
PRIVATE := private .lock
newer_raw = $(if $(shell find -L $(D) -mindepth 1 $(foreach made,$(DERIVED) $(PRIVATE),-path $(D)/$(made) -prune -o) \
	\( -newer $1 -o -cnewer $1 \) -print 2>/dev/null | head -n 1),FORCE)
# FORCE where the results $1 were deleted, or made anew by hand (in make lab), after notebook $2 ran.
astray = $(shell if [ ! -e $1 ] || [ $1 -nt $2 ]; then echo FORCE; fi)

# Of notebooks that are no more.
GONE := $(filter-out $(foreach stem,$(STEMS),$(R)/$(stem).html $(R)/executed/$(stem).ipynb $(D)/results/$(stem).%), \
	$(wildcard $(R)/[0-9]*.html $(R)/executed/[0-9]*.ipynb $(D)/results/[0-9]*))

PAGES := $(patsubst $(R)/00_summary.html,$(R)/index.html,$(STEMS:%=$(R)/%.html))

report: $(PAGES) $(R)/numbers.json $(R)/numbers.csv $(R)/poster.svg ## make reports/DATASET/index.html and what it links to
	@$(if $(GONE),rm -f $(GONE))
	@echo "Open $(R)/index.html"

pdf: $(R)/report.pdf ## make reports/DATASET/report.pdf of its pages; needs Chromium, Chrome or Edge
	@echo "Open $<"

$(R)/report.pdf: $(PAGES) src/loyaltylab/pdf.py | $(REPORT_READY)
	@$(PYTHON) -m loyaltylab pdf $(PAGES) $@

# What was typed passes through the environment, where the shell finds no command in it.
new: export NEW_FOLDER = data/$(DATASET)
new: export NEW_FROM = $(FROM)
new: export NEW_COLUMN = $(COLUMN)
new: | $(REPORT_READY) ## make data/DATASET of exports, FROM="orders.csv customers.csv"
	@$(PYTHON) -m loyaltylab new "$$NEW_FOLDER" "$$NEW_FROM" $(if $(COLUMN),--column "$$NEW_COLUMN")

# FORCE where the world that is there has another size than asked for.
DEMO := data/demo/truth/world.json
resized = $(if $(wildcard $(DEMO)),$(shell grep -q '"customers": $(or $(DEMO_CUSTOMERS),.*),' $(DEMO) || echo FORCE))

data/demo: $(DEMO) ## simulate the demo company again; DEMO_CUSTOMERS says how large

$(DEMO): data/demo/dataset.yml src/loyaltylab/world.py \
		$(wildcard src/loyaltylab/simulation/*.py src/loyaltylab/simulation/*.yml) \
		requirements.lock $(resized) | $(REPORT_READY)
	@$(PYTHON) -m loyaltylab simulate data/demo $(DEMO_CUSTOMERS:%=--customers %)

data/%/dataset.yml: | $(REPORT_READY)
	@$(PYTHON) -m loyaltylab check data/$*

ifeq ($(DATASET),demo)
$(D)/.checked $(call executed,01_validation): $(DEMO)
endif

# What a database holds, make cannot see: `make report` reads it anew each time, FETCH=0 aside. The
# file that stands for what came is written only where it differs, so that nothing else runs again
# if it does not. (No table is named any more, but copies are there: these are removed.)
FETCHED := $(if $(shell grep -Es '(://|\.(db|sqlite3?|duckdb))[^$(HASH)]*$(HASH)' $(D)/dataset.yml)$(wildcard \
	$(D)/fetched),$(D)/fetched/tables.json)

ifneq ($(FETCHED),)
$(D)/.checked $(call executed,01_validation): $(FETCHED)
$(FETCHED): $(if $(filter 0,$(FETCH)),,FORCE) | $(D)/dataset.yml $(REPORT_READY)
	@$(PYTHON) -m loyaltylab fetch $(D)
endif

# (What a notebook takes, it looks at itself when it changed.)
$(D)/.checked: $(D)/dataset.yml $(COMMON) $(SUBJECTS) $(call newer_raw,$(D)/.checked) | $(REPORT_READY)
	@$(PYTHON) -m loyaltylab check $(D) --stamp $@

$(call executed,$(STEMS)): $(R)/executed/%.ipynb: notebooks/%.ipynb $(D)/dataset.yml $(COMMON) \
		$(CATALOGUES) requirements.lock | $(REPORT_READY) $(D)/.checked
	@$(PYTHON) -m loyaltylab run $< $(D) $@

# What a notebook reads beside those: its module, and the results of notebooks before it. Linkage
# forecasts what other thresholds would mean, and retention who is at risk.
$(call executed,02_linkage 03_retention): $(call subject,04_lifetime_value)
# Value is what lifetime_value expects, by segment and channel, and beside what it cost to win.
$(call executed,04b_value): $(call subject,04_lifetime_value)
$(call executed,04b_value): $(call subject,03b_segments)
$(call executed,04b_value): $(call subject,03c_acquisition)
$(call executed,04b_value): $(call executed,04_lifetime_value)
# How the forecast works is told of the same models.
$(call executed,04c_models): $(call subject,04_lifetime_value)
# Whether the satisfied stay is asked beside how probable it is that they have left, by segment, and
# what they are worth.
$(call executed,05_satisfaction): $(call subject,04_lifetime_value)
$(call executed,05_satisfaction): $(call subject,03b_segments)
$(call executed,05_satisfaction): $(call subject,03c_acquisition)
$(call executed,05_satisfaction): $(call executed,04_lifetime_value)
# Ways to the first order stand beside what a customer costs, and what segments look at.
$(call executed,06_journey): $(call subject,03b_segments)
$(call executed,06_journey): $(call subject,03c_acquisition)
# Whom to win is told by what customers brought, as value has it with all that it reads, and where they
# are met by which page reads what.
$(call executed,07_growth): $(call subject,04_lifetime_value)
$(call executed,07_growth): $(call subject,03b_segments)
$(call executed,07_growth): $(call subject,03c_acquisition)
$(call executed,07_growth): $(call subject,04b_value)
$(call executed,07_growth): $(call subject,01_validation)
AFTER_LINKAGE := $(filter-out 00_% 01_% 02_%,$(STEMS))
$(foreach stem,$(STEMS),$(eval $(call executed,$(stem)): $(call subject,$(stem))))
$(foreach stem,$(filter-out 00_%,$(STEMS)),$(eval \
	$(call executed,$(stem)): $(call astray,$(D)/results/$(stem).json,$(call executed,$(stem)))))
$(call executed,01_validation): $(call newer_raw,$(R)/executed/01_validation.ipynb) \
	$(call astray,$(D)/validated/orders.parquet,$(call executed,01_validation))

# The gate: what comes after validation waits for data that are good enough, and the page that says
# what is wrong is made before it. FORCE where it was passed with STRICT=0 and that no longer counts.
not_strict = $(if $(filter-out 0,$(or $(STRICT),1)),$(shell grep -qs '^not strict' $(D)/.passed && echo FORCE))

$(D)/.passed: $(call executed,01_validation) $(not_strict) | $(R)/01_validation.html
	@$(PYTHON) -m loyaltylab gate $(D) $@

$(call executed,02_linkage): $(D)/.passed
$(call executed,$(AFTER_LINKAGE)): $(call executed,02_linkage)
$(call executed,00_summary): $(call executed,$(filter-out 00_%,$(STEMS)))
$(call executed,00_summary): $(R)/numbers.json $(HISTORY_MODULES)

# Kept under the day of today as well, in $(R)/history, before the summary compares.
$(R)/numbers.json: $(call executed,$(filter-out 00_%,$(STEMS)))
	@$(PYTHON) -m loyaltylab numbers $(D) $(filter-out notebooks/00_%,$(NOTEBOOKS)) $@

$(R)/numbers.csv: $(R)/numbers.json src/loyaltylab/summary/table.py
	@$(PYTHON) -m loyaltylab table $< $@

# The year on one page, of the numbers and of tables that these notebooks kept. The SVG is written
# last and stands for both pictures; FORCE where the other one was deleted.
DRAWN := 03_retention 03b_segments
$(R)/poster.svg: $(R)/numbers.json $(call executed,$(DRAWN)) $(wildcard src/loyaltylab/poster/*.py) \
		$(call subject,00_summary) $(HISTORY_MODULES) $(CATALOGUES) \
		$(if $(wildcard $(R)/poster.png),,FORCE) | $(REPORT_READY)
	@$(PYTHON) -m loyaltylab poster $< $(D) $(DRAWN:%=notebooks/%.ipynb) $@ $(R)/poster.png

# A page names all pages: it is made again when a notebook comes or goes.
$(R)/index.html: $(R)/executed/00_summary.ipynb $(PAGE_PARTS) notebooks | $(REPORT_READY)
	@$(PYTHON) -m loyaltylab render $< $(D) $(NOTEBOOKS) $@

$(R)/%.html: $(R)/executed/%.ipynb $(PAGE_PARTS) notebooks | $(REPORT_READY)
	@$(PYTHON) -m loyaltylab render $< $(D) $(NOTEBOOKS) $@

compare: export FROM_REPORT = $(A)
compare: export TO_REPORT = $(B)
compare: | $(REPORT_READY) ## say what moved from report A to B: days such as A=2026-10-01, or paths
	@$(PYTHON) -m loyaltylab compare $(D) "$$FROM_REPORT" "$$TO_REPORT"

# ---- Work on the lab itself.

# 00_summary reads what the others recorded: it comes last.
IN_ORDER := $(filter-out notebooks/00_%,$(NOTEBOOKS)) $(filter notebooks/00_%,$(NOTEBOOKS))

test: $(TEST_READY) ## check everything: notebooks against their stored outputs, units, pages
	@$(MAKE) --no-print-directory -j3 test-notebooks test-cdnow test-demo test-in-de test-in-nb
	$(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests

# Side by side, as each for minutes waits for a notebook of its own.
.PHONY: test-notebooks test-cdnow test-demo test-in-de test-in-nb
test-notebooks test-demo: $(DEMO)
test-notebooks: $(TEST_READY)
	rm -rf .build/nbval
	LOYALTYLAB_DERIVED="$(CURDIR)/.build/nbval" IPYTHONDIR="$(CURDIR)/.build/ipython" \
		$(PYTHON) -m pytest --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg $(IN_ORDER)
test-cdnow test-demo: test-%: $(TEST_READY)
	@$(MAKE) --no-print-directory report DATASET=$*

# A small company for each language that is not English.
test-in-de test-in-nb: test-in-%: $(TEST_READY)
	@$(PYTHON) -m tests.translated data/test-$*
	@$(MAKE) --no-print-directory report DATASET=test-$*

golden: $(REPORT_READY) $(DEMO) ## run the notebooks in place: their outputs become what the tests expect
	rm -rf .build/golden
	$(PYTHON) -m loyaltylab golden $(IN_ORDER)

lab: export LAB_NOTEBOOK = $(NOTEBOOK:.ipynb=).ipynb
lab: $(LAB_READY) ## open the notebooks in JupyterLab, NOTEBOOK=03_retention that one
	$(LAB_PYTHON) -m jupyter lab notebooks $(if $(NOTEBOOK),--LabApp.default_url="/lab/tree/$$LAB_NOTEBOOK")

spark: $(SPARK_READY) ## add Spark, for datasets whose engine it is; needs Java

test-spark: $(TEST_READY) $(SPARK_READY) ## run all notebooks on Spark and on DuckDB: their numbers must agree; ten minutes
	$(PYTHON) -m pytest tests/whole_spark.py

fuzz: $(TEST_READY) ## ten thousand hostile datasets, contracts and reports; goes on where it was ended
	$(PYTHON) -m tests.trust_fuzz

lint: $(TEST_READY) ## style, types, what is unsafe, dependencies that nothing needs
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) -m deptry src notebooks

# SIZES="1e5 1e6" of how many orders; all of them, up to 1e8, take an hour and 20 GB of disk.
bench: $(BENCH_READY) ## time what is claimed to be fast: reports/bench/index.html, and single parts
	$(PYTHON) -m tests.bench
	$(PYTHON) -m pytest tests/bench_*.py --benchmark-group-by=group \
		--benchmark-timer=time.process_time --benchmark-columns=min,median,max,rounds

# Each writes a table to tests/studies, which a test reads; together about two hours.
study: $(TEST_READY) ## count over simulated worlds how often intervals hold the truth
	$(PYTHON) -m tests.study_retention
	$(PYTHON) -m tests.study_renewals
	$(PYTHON) -m tests.study_lifetime_value
	$(PYTHON) -m tests.study_satisfaction
	$(PYTHON) -m tests.study_offers
	$(PYTHON) -m tests.study_gap

# One resolution for every Python from 3.11 on and every system; groups agree with the report's lock.
LOCK = $(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header
lock: $(TEST_READY) ## resolve the dependencies of pyproject.toml again
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) pyproject.toml -c requirements.lock --group test -o requirements-test.lock
	$(LOCK) --no-deps --group febrl -o requirements-febrl.lock
	$(LOCK) pyproject.toml -c requirements.lock --group spark -o requirements-spark.lock
	$(LOCK) pyproject.toml -c requirements-test.lock --group test --group bench -o requirements-bench.lock
	$(LOCK) -c requirements-test.lock --group lab -o requirements-lab.lock
	$(PYTHON) tests/conda.py > environment.yml

# Neither dated nor drawn: the same lock gives the same bytes.
sbom: $(TEST_READY) ## what a report is made with: reports/sbom.json (CycloneDX) and reports/licences.csv
	$(PYTHON) -m tests.sbom reports

# Each tries for minutes or hours to break a promise of SECURITY.md, and writes how often to tests/trust;
# what all of them found goes to SECURITY.md and reports/trust/index.html.
PROOFS := $(patsubst tests/%.py,%,$(wildcard tests/trust_*.py))
trust: $(PROOFS) ## try to break what SECURITY.md promises; hours. One of them: make trust_injection
	$(PYTHON) -m tests.proof
.PHONY: $(PROOFS)
$(PROOFS): trust_%: $(TEST_READY)
	$(PYTHON) -m tests.$@

# What earlier reports said cannot be made again: reports/*/history stays.
# The shell, not make, lists the folders: make would take a name with a space for two.
clean: ## remove everything that make made, but the environments and what earlier reports said
	rm -rf .build reports/trust reports/sbom.json reports/licences.csv
	for dataset in data/*/dataset.yml; do \
		folder=$$(dirname "$$dataset"); \
		report="reports/$$(basename "$$folder")"; \
		if [ -d "$$report/history" ]; then \
			find "$$report/" -mindepth 1 -maxdepth 1 ! -name history -exec rm -rf {} +; \
		else rm -rf "$$report"; fi; \
		for made in $(DERIVED); do rm -rf "$$folder/$$made"; done; \
		if [ -e "$$folder/truth/world.json" ]; then rm -rf "$$folder/raw" "$$folder/truth"; fi; \
	done

help: ## this list
	@echo "make TARGET [DATASET=name]; the dataset is a folder below data/, $(DATASET) by default"
	@awk -F ':.*## ' '/^[a-z\/]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

FORCE:

endif
