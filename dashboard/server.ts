// The page's server: on loopback alone, for those who have the token of the printed link. Static files as they are, changes as
// server-sent events, windows of the history, screens and rings when asked, and actions. Leaves what is shown to live.ts.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { errorMessage, UserError } from '../lib/core/errors.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { ACTIONS, type Action } from './actions.js';
import type { PageMessage, PageSource, ShownCampaign, ShownLab } from './source.js';

/** The only files that are served, by their paths. */
const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/style.css': ['style.css', 'text/css; charset=utf-8'],
  '/app.js': ['app.js', 'text/javascript; charset=utf-8'],
  '/clock.js': ['clock.js', 'text/javascript; charset=utf-8'],
  '/dom.js': ['dom.js', 'text/javascript; charset=utf-8'],
  '/lab.js': ['lab.js', 'text/javascript; charset=utf-8'],
  '/cursor.js': ['cursor.js', 'text/javascript; charset=utf-8'],
  '/device.js': ['device.js', 'text/javascript; charset=utf-8'],
  '/topology.js': ['topology.js', 'text/javascript; charset=utf-8'],
  '/campaign.js': ['campaign.js', 'text/javascript; charset=utf-8'],
  '/store.js': ['store.js', 'text/javascript; charset=utf-8'],
  '/timeline.js': ['timeline.js', 'text/javascript; charset=utf-8'],
  '/latency.js': ['latency.js', 'text/javascript; charset=utf-8'],
  '/vendor/uplot.js': ['vendor/uplot.js', 'text/javascript; charset=utf-8'],
  '/vendor/uplot.css': ['vendor/uplot.css', 'text/css; charset=utf-8'],
  '/icon.svg': ['icon.svg', 'image/svg+xml'],
};
const SECURITY = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const;

/** Ten a second, however busy the lab. */
const TICK_MS = 100;
const VIEWERS_MAX = 16;
/** A viewer that is so far behind is left out until it has read; then it is told everything. */
const BEHIND_BYTES_MAX = 1 << 20;
const BODY_BYTES_MAX = 8 << 10;
const SPAN_MS_MAX = 60_000;
const TOKEN_BYTES = 24;
const LOOPBACK = '127.0.0.1';

interface Viewer {
  readonly response: ServerResponse;
  behind: boolean;
}

export interface PageServer {
  /** With the token. */
  readonly url: string;
  close(): Promise<void>;
}

/** Throws UserError when the port cannot be had. `port` 0: any. */
export async function servePage(source: PageSource, port: number): Promise<PageServer> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const app = fastify({ logger: false, bodyLimit: BODY_BYTES_MAX });
  const viewers = new Set<Viewer>();
  let own = 0;
  guard(app, token, () => own);
  serveFiles(app);
  serveData(app, source);
  app.get('/api/events', (_request, reply) => {
    if (viewers.size >= VIEWERS_MAX) return reply.code(503).send(`at most ${VIEWERS_MAX} pages at a time`);
    return addViewer(reply, viewers, source);
  });
  try {
    await app.listen({ host: LOOPBACK, port });
  } catch (error) {
    throw new UserError(`cannot serve the page on port ${port}: ${errorMessage(error)}`);
  }
  own = (app.server.address() as { port: number }).port;
  const stop = tick(source, viewers);
  return {
    url: `http://${LOOPBACK}:${own}/?token=${token}`,
    close: async () => {
      await stop();
      for (const { response } of viewers) response.end('event: bye\ndata: {}\n\n');
      await app.close();
    },
  };
}

/** Cookies know no ports: one a port, so that two labs' pages do not sign each other out. */
const cookieName = (port: number): string => `xenwire-${port}`;

/**
 * Whom the server answers: a browser that names this host, comes from no other site, and shows the token: in the link once, then in
 * a cookie that no script can read and no other site makes a browser send.
 */
function guard(app: FastifyInstance, token: string, port: () => number): void {
  const isToken = (text: string | undefined): boolean => {
    const given = Buffer.from(text ?? '');
    const right = Buffer.from(token);
    return given.length === right.length && timingSafeEqual(given, right);
  };
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY);
    const { host, origin, cookie = '' } = request.headers;
    const hosts = [`${LOOPBACK}:${port()}`, `localhost:${port()}`];
    if (host === undefined || !hosts.includes(host))
      return refuse(reply, 421, 'this page is served to this machine only');
    const foreign = origin !== undefined && origin !== `http://${host}`;
    if (foreign || (request.method !== 'GET' && origin === undefined))
      return refuse(reply, 403, 'asked by another site');
    const given = (request.query as Record<string, unknown>)['token'];
    if (typeof given === 'string' && request.method === 'GET' && isToken(given)) {
      reply.header('set-cookie', `${cookieName(port())}=${token}; HttpOnly; SameSite=Strict; Path=/`);
      return reply.redirect('/', 303);
    }
    const shown = cookie
      .split(';')
      .map((part) => part.trim().split('='))
      .find(([name]) => name === cookieName(port()));
    if (!isToken(shown?.[1])) return refuse(reply, 401, 'open the link that xenwire has printed: it has the token');
  });
}

function refuse(reply: FastifyReply, status: number, sentence: string): FastifyReply {
  return reply.code(status).type('text/plain; charset=utf-8').send(`${sentence}\n`);
}

function serveFiles(app: FastifyInstance): void {
  const root = join(PACKAGE_ROOT, 'dist', 'dashboard', 'public');
  for (const [path, [file, type]] of Object.entries(FILES)) {
    const bytes = readFileSync(join(root, file));
    app.get(path, (_request, reply) => reply.type(type).send(bytes));
  }
}

/** A number of a query or a path; undefined for what is none within bounds. */
function numberIn(text: unknown, max: number): number | undefined {
  const value = typeof text === 'string' && text !== '' ? Number(text) : Number.NaN;
  return Number.isFinite(value) && value >= 0 && value <= max ? value : undefined;
}

function serveData(app: FastifyInstance, source: PageSource): void {
  app.get('/api/window', (request, reply) => {
    const { span, until } = request.query as Record<string, unknown>;
    const spanMs = numberIn(span, SPAN_MS_MAX);
    const untilMs = until === undefined ? undefined : numberIn(until, Number.MAX_SAFE_INTEGER);
    if (spanMs === undefined || (until !== undefined && untilMs === undefined))
      return refuse(reply, 400, 'no such window');
    return withLab(reply, source, (lab) => lab.history.window(spanMs, untilMs));
  });
  app.get('/api/points/:process', (request, reply) =>
    withLab(reply, source, (lab) => lab.history.instancesOf((request.params as { process: string }).process)),
  );
  app.get('/api/rings/:domid', (request, reply) => {
    const domid = numberIn((request.params as { domid: string }).domid, 0xffff);
    return domid === undefined
      ? refuse(reply, 400, 'no such domain')
      : withLab(reply, source, (lab) => lab.rings(domid));
  });
  app.get('/api/frame/:domid/:devid', async (request, reply) => {
    const png = await source.lab?.frame(deviceOf(request));
    if (png === undefined) return refuse(reply, 404, 'this screen shows nothing now');
    return reply.type('image/png').send(Buffer.from(png));
  });
  app.get('/api/cursor/:domid/:devid', async (request, reply) => {
    const cursor = await source.lab?.cursor(deviceOf(request));
    return cursor === undefined ? refuse(reply, 404, 'there is no such screen now') : reply.send(cursor);
  });
  app.get('/api/cursor/:domid/:devid/image', (request, reply) => {
    const png = source.lab?.cursorImage(deviceOf(request));
    if (png === undefined) return refuse(reply, 404, 'there is no such cursor now');
    return reply.type('image/png').send(Buffer.from(png));
  });
  app.post('/api/act', (request, reply) => act(source, request, reply));
  if (source.campaign !== undefined) serveCampaign(app, source.campaign);
}

function deviceOf(request: FastifyRequest): string {
  const { domid, devid } = request.params as Record<'domid' | 'devid', string>;
  return `${domid}/${devid}`;
}

function withLab(reply: FastifyReply, { lab }: PageSource, answer: (lab: ShownLab) => object): FastifyReply {
  // Nothing is wrong: there is nothing to see.
  return lab === undefined ? reply.code(204).send() : reply.send(answer(lab));
}

function serveCampaign(app: FastifyInstance, campaign: ShownCampaign): void {
  app.get('/api/cases', (request, reply) => {
    const { fault, standing, victim } = request.query as Record<string, unknown>;
    if (typeof fault !== 'string' || typeof standing !== 'string' || typeof victim !== 'string')
      return refuse(reply, 400, 'no such cell');
    return reply.send(campaign.cases({ fault, standing, victim }));
  });
  app.post('/api/replay', async (request, reply) => {
    const { case: text } = (request.body ?? {}) as Record<string, unknown>;
    if (text !== undefined && typeof text !== 'string') return refuse(reply, 400, 'no such case');
    return obey(reply, () => (text === undefined ? campaign.stop() : campaign.replay(text)));
  });
}

async function act(source: PageSource, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { process: name, action, at } = (request.body ?? {}) as Record<string, unknown>;
  const known = ACTIONS.find((each) => each === action) as Action | undefined;
  if (typeof name !== 'string' || known === undefined || (at !== undefined && typeof at !== 'string'))
    return refuse(reply, 400, 'no such action');
  const { lab } = source;
  if (lab === undefined) return refuse(reply, 404, 'no lab is shown now');
  if (!lab.asks) return refuse(reply, 409, 'the processes of a replay are left alone: its case is being judged');
  return obey(reply, () => lab.actions.act(name, known, at === '' ? undefined : at));
}

/** What cannot be done is one sentence. */
async function obey(reply: FastifyReply, order: () => Promise<void>): Promise<FastifyReply> {
  try {
    await order();
    return reply.send({});
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return refuse(reply, 409, error.message);
  }
}

function addViewer(reply: FastifyReply, viewers: Set<Viewer>, source: PageSource): FastifyReply {
  reply.hijack();
  const response = reply.raw;
  response.writeHead(200, { ...SECURITY, 'content-type': 'text/event-stream' });
  const viewer: Viewer = { response, behind: false };
  viewers.add(viewer);
  response.on('close', () => viewers.delete(viewer));
  send(viewer, source.whole());
  return reply;
}

function send({ response }: Viewer, state: PageMessage): void {
  response.write(`data: ${JSON.stringify(state)}\n\n`);
}

/** One look after the other; returns what ends them, and waits for the last. */
function tick(source: PageSource, viewers: ReadonlySet<Viewer>): () => Promise<void> {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    const changes = await source.look();
    for (const viewer of viewers) {
      if (viewer.response.writableLength > BEHIND_BYTES_MAX) viewer.behind = true;
      else if (viewer.behind) {
        viewer.behind = false;
        send(viewer, source.whole());
      } else if (changes !== undefined) send(viewer, changes);
    }
  };
  const again = (): void => {
    timer = setTimeout(() => {
      // A rejection is a bug of ours, and ends the process.
      looking = look();
      void looking.then(() => {
        if (!stopped) again();
      });
    }, TICK_MS);
  };
  again();
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await looking;
  };
}
