/** What is said of a session, for people. Pure. */

import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { Refusal } from './api';
import { isEnding, isForIdle, isRunning, isSuspended } from './states';
import type { ISession } from './tokens';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How a session is, as one glance can take it. */
export type Mood = 'running' | 'starting' | 'resting' | 'ended' | 'failed';

/** Say how a session is, at a glance. */
export function mood(session: ISession): Mood {
  if (session.status === 'ERROR') {
    return 'failed';
  }
  if (isEnding(session)) {
    return 'ended';
  }
  if (isSuspended(session)) {
    return 'resting';
  }
  return isRunning(session) ? 'running' : 'starting';
}

/** A session's status in a word. */
export function statusWord(session: ISession, trans: TranslationBundle): string {
  const words: Record<string, string> = {
    PENDING: trans.__('Waiting'),
    PULLING: trans.__('Pulling image'),
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
    const place = trans.__('position %1 in the queue', session.position);
    return session.waitsFor ? `${place}: ${session.waitsFor}` : place;
  }
  return isEnding(session) ? endReason(session, trans) : session.info;
}

/** Why a session ended, and who or what ended it. */
export function endReason(session: ISession, trans: TranslationBundle): string {
  const words: Record<string, string> = {
    'user-requested': trans.__('somebody stopped it: here, by a program or by a command'),
    'idle-timeout': trans.__('it reached its idle timeout'),
    'never-connected': trans.__('nobody ever used it'),
    'server-stopped': trans.__('it was not durable, and its Jupyter server stopped'),
    lifetime: trans.__('it reached its maximum lifetime'),
    'kernel-died': trans.__('its kernel ended by itself')
  };
  const failed = session.info !== session.stopReason ? session.info : '';
  const why = failed || words[session.stopReason] || session.stopReason;
  return session.stopReason === 'kernel-died' && session.kernelDeath !== ''
    ? `${why}: ${session.kernelDeath}`
    : why;
}

/** An error in a sentence or two: what happened, and what to do. */
export function sayError(error: unknown, trans: TranslationBundle): string {
  if (error instanceof Refusal) {
    if (error.kind === '' && (error.status === 401 || error.status === 403)) {
      return trans.__('You are logged out, or may not do this. Reload the page to log in again.');
    }
    if (error.isMissing) {
      return trans.__(
        'This server runs without the jupyter_sessmgr extension, so there are no remote sessions. ' +
          '"jupyter sessmgr check" says more.'
      );
    }
    return error.kind === '' && error.status >= 500
      ? trans.__('The Jupyter server does not answer (%1). Try again in a moment.', error.status)
      : error.message;
  }
  if (error instanceof ServerConnection.NetworkError || error instanceof TypeError) {
    return trans.__('The Jupyter server does not answer. See whether it still runs, and try again.');
  }
  return error instanceof Error ? error.message : String(error);
}

/** The second line of a row: what matters most first. */
export function details(session: ISession, trans: TranslationBundle, now: number): string {
  const left = session.endsAt === null ? '' : untilEnd(session, trans, now);
  return [reason(session, trans), usage(session), left, shortImage(session.image)]
    .filter(part => part !== '')
    .join(' · ');
}

/** What it uses; "" while that is not known. */
export function usage(session: ISession): string {
  if (!isRunning(session) || session.memory === null) {
    return '';
  }
  const limit = session.memoryLimit > 0 ? ` / ${bytes(session.memoryLimit)}` : '';
  const cpu = session.cpu === null ? '' : `${Math.round(session.cpu)} % `;
  return `${cpu}${bytes(session.memory)}${limit}`;
}

/** An amount of memory. */
export function bytes(amount: number): string {
  return amount >= GIB
    ? `${(amount / GIB).toFixed(1)} GiB`
    : `${Math.max(1, Math.round(amount / MIB))} MiB`;
}

/** When it will be ended; "" while that is more than a day away. */
function untilEnd(session: ISession, trans: TranslationBundle, now: number): string {
  const left = Date.parse(session.endsAt ?? '') - now;
  if (Number.isNaN(left) || left > DAY) {
    return '';
  }
  const many = span(left, trans);
  return isForIdle(session.endsBy)
    ? trans.__('ends in %1 if it is not used', many)
    : trans.__('ends in %1', many);
}

/** A time in its largest unit. */
function span(milliseconds: number, trans: TranslationBundle): string {
  if (milliseconds < MINUTE) {
    return trans.__('less than a minute');
  }
  return milliseconds < HOUR
    ? trans.__('%1 min', Math.floor(milliseconds / MINUTE))
    : trans.__('%1 h', Math.floor(milliseconds / HOUR));
}

/** An image's name without its registry and without a tag that says nothing. */
export function shortImage(image: string): string {
  return image.replace(/^.*\//, '').replace(/:latest$/, '');
}
