// The operations on domains: introduction and release, paths, features and quotas.
import { DOM0, DOMID_SELF } from '../../lib/core/ids.js';
import { ACK, atoi, oneString, parseDomid, splitStrings } from '../../lib/xenstore/payload.js';
import type { Call, Handler } from './call.js';
import { introduceDomain, removeDomain, wakeDomain } from './domain-life.js';
import type { Domain } from './domains.js';
import { fail, Unanswered } from './failure.js';
import { domainPath } from './path.js';
import { type Limits, type QuotaKey, quotaKeys } from './quota.js';

function domidOf(call: Call, text: string | undefined): number {
  if (text !== undefined && call.store.compat.looseDomids) return atoi(text) >>> 0;
  return (text === undefined ? undefined : parseDomid(text)) ?? fail('EINVAL');
}

function introducedDomain(call: Call, domid: number): Domain {
  return call.store.domains.introduced(domid) ?? fail('ENOENT');
}

/** The domain of RELEASE and RESUME: neither the control domain nor the store's own. */
function guestOf(call: Call): Domain {
  const domid = domidOf(call, oneString(call.payload));
  if (domid === DOM0) fail('EINVAL');
  return introducedDomain(call, domid);
}

/** A domain that has a record here or exists in the host. */
function existingDomain(call: Call, text: string): Domain {
  const { connection, store } = call;
  const domid = domidOf(call, text);
  return store.domains.existing(domid, connection.domainAnswers, store.tree.generation) ?? fail('ENOENT');
}

/** domid, gfn (its ring's page; grants make it unnecessary), port. Anything behind them is ignored. */
export const introduce: Handler = (call) => {
  const strings = splitStrings(call.payload);
  if (strings.length < 3) fail('EINVAL');
  const domid = domidOf(call, strings[0]);
  // evtchn_port_t is unsigned: only 0 is no port, the rest is for the host to refuse.
  const port = atoi(strings[2] as string) >>> 0;
  if (port === 0) fail('EINVAL');
  const answer = call.connection.introduceAnswers.get(domid);
  if (answer === undefined) throw new Unanswered({ kind: 'introduce', domid, port });
  if (answer !== 'ok') fail(answer);
  const { store } = call;
  introduceDomain(store, domid, port);
  call.after = () => wakeDomain(store, domid);
  return ACK;
};

export const release: Handler = (call) => {
  removeDomain(call.store, guestOf(call));
  return ACK;
};

export const resume: Handler = (call) => {
  guestOf(call).shutdown = false;
  return ACK;
};

export const setTarget: Handler = (call) => {
  const strings = splitStrings(call.payload);
  if (strings.length < 2) fail('EINVAL');
  const [domid, target] = [domidOf(call, strings[0]), domidOf(call, strings[1])];
  const domain = introducedDomain(call, domid);
  domain.targetDomid = introducedDomain(call, target).domid;
  call.store.journal.domain(domain);
  return ACK;
};

export const getDomainPath: Handler = (call) => `${domainPath(domidOf(call, oneString(call.payload)))}\0`;

export const isDomainIntroduced: Handler = (call) => {
  const domid = domidOf(call, oneString(call.payload));
  const known = domid === DOMID_SELF || call.store.domains.introduced(domid) !== undefined;
  return known ? 'T\0' : 'F\0';
};

export const getFeature: Handler = (call) => {
  const { connection, store } = call;
  const strings = splitStrings(call.payload);
  if (strings.length === 0) return `${connection.domain?.features ?? store.compat.features}\0`;
  if (!connection.privileged) fail('EACCES');
  if (strings.length > 1) fail('EINVAL');
  return `${existingDomain(call, strings[0] as string).features}\0`;
};

export const setFeature: Handler = (call) => {
  const strings = splitStrings(call.payload);
  if (strings.length !== 2) fail('EINVAL');
  const domain = existingDomain(call, strings[0] as string);
  const features = atoi(strings[1] as string);
  if (domain.introduced) fail('EBUSY');
  if ((features & ~call.store.compat.features) !== 0) fail('EINVAL');
  domain.features = features;
  call.store.journal.domain(domain);
  return ACK;
};

function quotaKey(limits: Limits, name: string): QuotaKey {
  return limits.has(name as QuotaKey) ? (name as QuotaKey) : fail('EINVAL');
}

export const getQuota: Handler = (call) => {
  const { domains } = call.store;
  const strings = splitStrings(call.payload);
  if (strings.length > 2) fail('EINVAL');
  if (strings.length === 0) return `${quotaKeys(domains.limits).join(' ')}\0`;
  const [first, second] = strings as [string, string | undefined];
  const limits = second === undefined ? domains.limits : existingDomain(call, first).account.limits;
  return `${limits.get(quotaKey(domains.limits, second ?? first))}\0`;
};

/** Unsigned 32-bit values; the largest stands for "no such quota" in the daemon and is refused. */
const VALUE_REFUSED = 0xffffffff;

export const setQuota: Handler = (call) => {
  const { domains } = call.store;
  const strings = splitStrings(call.payload);
  if (strings.length < 2 || strings.length > 3) fail('EINVAL');
  const domain = strings.length === 3 ? existingDomain(call, strings[0] as string) : undefined;
  const [name, text] = strings.slice(-2) as [string, string];
  const value = atoi(text) >>> 0;
  const key = quotaKey(domains.limits, name);
  if (value === VALUE_REFUSED) fail('EINVAL');
  (domain?.account.limits ?? domains.limits).set(key, value);
  if (domain === undefined) call.store.journal.limits(domains.limits);
  else call.store.journal.domain(domain);
  return ACK;
};
