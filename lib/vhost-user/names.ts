// What vhost-user messages are called at trace points and in logs: the names of the specification without their prefix.
import { VHOST_USER_BACKEND_REQUEST, VHOST_USER_REQUEST } from '../layout/vhost-user.js';

const namesOf = (table: Readonly<Record<string, number>>): ReadonlyMap<number, string> =>
  new Map(Object.entries(table).map(([name, request]) => [request, name.replace(/^VHOST_USER_(BACKEND_)?/, '')]));

const REQUESTS = namesOf(VHOST_USER_REQUEST);
const BACKEND_REQUESTS = namesOf(VHOST_USER_BACKEND_REQUEST);

/** Of a request that the front-end sends. */
export const requestName = (request: number): string => REQUESTS.get(request) ?? 'unknown';
/** Of a request that the back-end sends on its channel. */
export const backendRequestName = (request: number): string => BACKEND_REQUESTS.get(request) ?? 'unknown';
