# One image for every process of a lab; docker-compose.yml gives each container its command. Built in two stages: the tools
# that build stay behind, and so do native modules for other systems.
FROM node:20-bookworm-slim AS build
WORKDIR /xenwire
COPY package.json package-lock.json .npmrc ./
# Packages first, so that a change of the sources does not fetch them again. No package needs its install script.
RUN npm ci --ignore-scripts
COPY . .
RUN node scripts/build.mjs \
 && npm prune --omit=dev --ignore-scripts \
 && rm -rf node_modules/zeromq/build/darwin node_modules/zeromq/build/win32

FROM node:20-bookworm-slim
WORKDIR /xenwire
COPY --from=build /xenwire/package.json /xenwire/LICENSE /xenwire/README.md ./
COPY --from=build /xenwire/proto ./proto
COPY --from=build /xenwire/chaos/report/page ./chaos/report/page
COPY --from=build /xenwire/examples ./examples
COPY --from=build /xenwire/scripts/health.sh ./scripts/health.sh
COPY --from=build /xenwire/node_modules ./node_modules
COPY --from=build /xenwire/dist ./dist

# Every container of a lab shares this folder; see docker-compose.yml.
ENV XENWIRE_RUN_DIR=/run/xenwire
RUN mkdir -m 0700 /run/xenwire && chown 1000:1000 /run/xenwire
USER 1000:1000

ENTRYPOINT ["node", "dist/bin/xenwire.js"]
CMD ["up", "--once"]
