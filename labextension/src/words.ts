/** What is said of a session, for people. Pure. */

import type { TranslationBundle } from '@jupyterlab/translation';

import { FINAL, ISession } from './tokens';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How a session is, as one glance can take it. */
export type Mood = 'running' | 'starting' | 'resting' | 'ended' | 'failed';

export function mood(session: ISession): Mood {
  if (session.status === 'ERROR') {
    return 'failed';
  }
  if (FINAL.has(session.status) || session.status === 'TERMINATING') {
    return 'ended';
  }
  if (session.status === 'SUSPENDED') {
    return 'resting';
  }
  return session.status === 'RUNNING' ? 'running' : 'starting';
}

/** A session's status in a word. */
export function statusWord(session: ISession, trans: TranslationBundle): string {
  const words: Record<string, string> = {
    PENDING: trans.__('Waiting'),
    PULLING: trans.__('Fetching its image'),
    CREATING: trans.__('Starting'),
    RUNNING: trans.__('Running'),
    RESTARTING: trans.__('Restarting'),
    SUSPENDED: trans.__('Suspended'),
    TERMINATING: trans.__('Ending'),
    TERMINATED: trans.__('Ended'),
    CANCELLED: trans.__('Cancelled'),
    ERROR: trans.__('Failed')
  };
  return words[session.status] ?? session.status;
}

/** Why a session is as it is: what it waits for, how far its start is, why it ended. */
export function reason(session: ISession, trans: TranslationBundle): string {
  if (session.status === 'PENDING' && session.position !== null) {
    const place = trans.__('number %1 in the line', session.position);
    return session.waitsFor ? `${place}: ${session.waitsFor}` : place;
  }
  return session.info;
}

/** The second line of a row: what matters most first. */
export function details(session: ISession, trans: TranslationBundle, now: number): string {
  const left = session.endsAt === null ? '' : untilEnd(session.endsAt, trans, now);
  return [reason(session, trans), usage(session), left, shortImage(session.image)]
    .filter(part => part !== '')
    .join(' · ');
}

/** What it uses; "" while that is not known. */
export function usage(session: ISession): string {
  if (session.status !== 'RUNNING' || session.memory === null) {
    return '';
  }
  const limit = session.memoryLimit > 0 ? ` / ${bytes(session.memoryLimit)}` : '';
  const cpu = session.cpu === null ? '' : `${Math.round(session.cpu)} % `;
  return `${cpu}${bytes(session.memory)}${limit}`;
}

export function bytes(amount: number): string {
  return amount >= GIB
    ? `${(amount / GIB).toFixed(1)} GiB`
    : `${Math.max(1, Math.round(amount / MIB))} MiB`;
}

/** When it will be ended; "" while that is more than a day away. */
function untilEnd(endsAt: string, trans: TranslationBundle, now: number): string {
  const left = Date.parse(endsAt) - now;
  if (Number.isNaN(left) || left > DAY) {
    return '';
  }
  if (left < MINUTE) {
    return trans.__('ends now if it is not used');
  }
  const many = left < HOUR ? trans.__('%1 min', Math.floor(left / MINUTE)) : '';
  return trans.__('ends in %1 if it is not used', many || trans.__('%1 h', Math.floor(left / HOUR)));
}

/** An image's name without its registry and without a tag that says nothing. */
export function shortImage(image: string): string {
  return image.replace(/^.*\//, '').replace(/:latest$/, '');
}
