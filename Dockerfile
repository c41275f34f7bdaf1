# impasto's page on a CPU, without root, on a root that need not be written:
#
#   docker build -t impasto .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -v impasto-jobs:/jobs -e IMPASTO_TOKEN=choose-16-letters-or-more -p 127.0.0.1:8765:8765 impasto
#
# then open http://127.0.0.1:8765/#token=choose-16-letters-or-more
FROM python:3.11-slim AS build
WORKDIR /source
RUN python -m venv /opt/impasto
ENV PATH=/opt/impasto/bin:$PATH
# Where the index of PyTorch's CPU builds is given, they are taken: some gigabytes smaller.
ARG PIP_EXTRA_INDEX_URL
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt '.[serve]'

FROM python:3.11-slim
COPY --from=build /opt/impasto /opt/impasto
RUN useradd --uid 10001 --create-home painter && install -d -o painter -g painter -m 700 /jobs
ENV PATH=/opt/impasto/bin:$PATH PYTHONDONTWRITEBYTECODE=1 XDG_CACHE_HOME=/tmp MPLCONFIGDIR=/tmp
USER 10001
VOLUME /jobs
EXPOSE 8765
HEALTHCHECK CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8765/v1/health')"]
# The container's own address is not this machine's, so a token must be chosen.
CMD ["sh", "-c", "exec impasto serve --no-browser --host 0.0.0.0 --folder /jobs --token \"${IMPASTO_TOKEN:?choose a token of 16 letters or more}\""]
