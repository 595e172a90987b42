# imagine-bot in a container; docs/installing.md says how to run it.
#   docker build -t imagine-bot:cpu .
#   docker build -t imagine-bot:nvidia --build-arg VARIANT=nvidia .
ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
# cpu or nvidia: on Linux the package index has PyTorch for CUDA, which is five times as large.
ARG VARIANT=cpu
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /build
RUN pip install --no-cache-dir uv==0.13.9 && uv venv /opt/imagine-bot
# The libraries first, in the versions that the tests ran with: a change of the program does not load them again.
COPY pyproject.toml ./
RUN case "$VARIANT" in \
        cpu) set -- --torch-backend=cpu ;; \
        nvidia) set -- ;; \
        *) echo "VARIANT is cpu or nvidia, not $VARIANT" >&2; exit 1 ;; \
    esac \
    && uv pip install --no-cache --python /opt/imagine-bot "$@" -r pyproject.toml
COPY README.md LICENSE NOTICE ./
COPY bot bot
COPY pipeline pipeline
RUN uv pip install --no-cache --no-deps --python /opt/imagine-bot .

FROM python:${PYTHON}
ARG VARIANT=cpu
LABEL org.opencontainers.image.title="imagine-bot" \
      org.opencontainers.image.licenses="Apache-2.0 AND MIT"
# hadolint ignore=DL3008 # Triton compiles with what the system has; its version changes nothing
RUN if [ "$VARIANT" = nvidia ]; then \
        apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*; \
    fi
# Volumes that are made of these folders belong to the same user.
RUN useradd --uid 10001 --create-home imagine-bot \
    && install -d -m 700 -o imagine-bot -g imagine-bot /data /models
COPY --from=build /opt/imagine-bot /opt/imagine-bot
ENV HOME=/home/imagine-bot \
    PATH=/opt/imagine-bot/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    IMAGINE_BOT__STORAGE__DATA_DIR=/data \
    IMAGINE_BOT__PIPELINE__MODELS_DIR=/models \
    IMAGINE_BOT__CONSOLE__HOST=0.0.0.0 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# A config.toml is read from here, if one is mounted.
WORKDIR /config
USER 10001:10001
VOLUME ["/data", "/models"]
EXPOSE 6006
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m --retries=3 CMD ["imagine-bot", "alive"]
ENTRYPOINT ["imagine-bot"]
CMD ["run"]
