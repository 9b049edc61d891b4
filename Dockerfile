# One image for every process of a lab; docker-compose.yml gives each container its command.
FROM node:20-bookworm-slim

WORKDIR /xenwire
COPY package.json package-lock.json .npmrc ./
# Packages first, so that a change of the sources does not fetch them again. No package needs its install script.
RUN npm ci --ignore-scripts
COPY . .
RUN node scripts/build.mjs

# Every container of a lab shares this folder; see docker-compose.yml.
ENV XENWIRE_RUN_DIR=/run/xenwire
RUN mkdir -m 0700 /run/xenwire && chown 1000:1000 /run/xenwire
USER 1000:1000

ENTRYPOINT ["node", "--enable-source-maps", "dist/bin/xenwire.js"]
CMD ["up", "--once"]
