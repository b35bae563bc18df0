/** What a session can do, by what the server says of it. Pure. */

import { FINAL, IService, ISession, STARTING } from './tokens';

/** Whether nothing is left of it. */
export function hasEnded({ status }: Pick<ISession, 'status'>): boolean {
  return FINAL.has(status);
}

/** Whether nothing is left of it, or soon will be. */
export function isEnding(session: Pick<ISession, 'status'>): boolean {
  return hasEnded(session) || session.status === 'TERMINATING';
}

/** Whether it is on its way up. */
export function isStarting(session: ISession): boolean {
  return STARTING.has(session.status);
}

/** Whether its kernel, if it has one, can be used now. */
export function isRunning(session: ISession): boolean {
  return session.status === 'RUNNING';
}

/** Whether its clock stands still. */
export function isSuspended(session: ISession): boolean {
  return session.status === 'SUSPENDED';
}

/** Whether pages can use its kernel: one that is suspended goes on when it is used. */
export function isUsable(session: ISession): boolean {
  return session.kernel !== '' && (isRunning(session) || isSuspended(session));
}

/** Whether a limit of time is one that ends only what nobody uses: such an end can be put off. */
export function isForIdle(limit: string): boolean {
  return limit === 'idle' || limit === 'never-connected';
}

/** Whether it has services that can be opened. */
export function hasPages(session: ISession): boolean {
  return isRunning(session) && session.services.some(isPage);
}

/** Whether a browser can show a service. */
export function isPage(service: IService): boolean {
  return service.protocol !== 'tcp';
}
