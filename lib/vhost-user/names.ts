// What vhost-user messages are called at trace points and in logs: the names of the specification without their prefix.
import { VHOST_USER_BACKEND_REQUEST, VHOST_USER_REQUEST } from '../layout/vhost-user.js';
import { VHOST_USER_GPU_REQUEST } from '../layout/vhost-user-gpu.js';

const namesOf = (table: Readonly<Record<string, number>>, prefix: string): ReadonlyMap<number, string> =>
  new Map(Object.entries(table).map(([name, request]) => [request, name.slice(prefix.length)]));

const REQUESTS = namesOf(VHOST_USER_REQUEST, 'VHOST_USER_');
const BACKEND_REQUESTS = namesOf(VHOST_USER_BACKEND_REQUEST, 'VHOST_USER_BACKEND_');
const DISPLAY_REQUESTS = namesOf(VHOST_USER_GPU_REQUEST, 'VHOST_USER_GPU_');

/** Of a request that the front-end sends. */
export const requestName = (request: number): string => REQUESTS.get(request) ?? 'unknown';
/** Of a request that the back-end sends on its channel. */
export const backendRequestName = (request: number): string => BACKEND_REQUESTS.get(request) ?? 'unknown';
/** Of a message on a GPU's display socket, or of its reply. */
export const displayRequestName = (request: number): string => DISPLAY_REQUESTS.get(request) ?? 'unknown';
