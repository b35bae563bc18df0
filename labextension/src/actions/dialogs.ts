/** What is asked before something is done to a session. */

import { Clipboard, Dialog, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';

import { contextOf } from '../front';
import { isStarting } from '../states';
import { ISession, NAME } from '../tokens';
import { sayError } from '../words';
import type { IContext } from './context';

const HOUR = 3600;

/** Seconds for which people want to keep sessions. */
const SPANS = [1, 4, 8, 24, 72, 168].map(hours => hours * HOUR);

/** Names of pages that a sentence can hold. */
const NAMED = 5;

/** Give a session a fresh kernel, after a question. */
export async function restart(context: IContext, session: ISession): Promise<void> {
  const { api, trans } = context;
  const answer = await showDialog({
    title: trans.__('Restart %1?', session.name),
    body: sentences(
      trans.__('Its variables are lost. Its services, files and URLs stay.'),
      usedBy(context, session)
    ),
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Restart') })]
  });
  if (answer.button.accept) {
    await (kernelInPage(context, session)?.restart() ?? api.restart(session.id));
  }
}

/** A session's kernel as a page here has it: restarted there, the page does not say that it died. */
function kernelInPage({ users }: IContext, { id }: ISession) {
  const kernels = users.of(id).map(page => contextOf(page)?.session?.kernel);
  return kernels.find(kernel => kernel?.id === id);
}

/** End a session, or its start, after a question that says what is lost. */
export async function stop(context: IContext, session: ISession): Promise<void> {
  const { api, trans } = context;
  const starts = isStarting(session);
  const lost = trans.__(
    'Its variables, running programs and services are lost. Files in its home and in mounted ' +
      'folders stay.'
  );
  const answer = await showDialog({
    title: starts
      ? trans.__('Cancel the start of %1?', session.name)
      : trans.__('Stop %1?', session.name),
    body: starts
      ? trans.__('It has not started yet, so nothing is lost.')
      : sentences(lost, usedBy(context, session), services(context, session)),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Keep It') }),
      Dialog.warnButton({ label: starts ? trans.__('Cancel Start') : trans.__('Stop') })
    ]
  });
  if (answer.button.accept) {
    context.stopped.add(session.id);
    await api.destroy(session.id);
  }
}

/** Stop all sessions, after a question. */
export async function stopAll(context: IContext): Promise<void> {
  const { sessions, trans } = context;
  const all = sessions.live;
  const answer = await showDialog({
    title: trans._n('Stop %1 session?', 'Stop all %1 sessions?', all.length),
    body: sentences(
      trans.__('Their variables, running programs and services are lost. Files stay.'),
      some(context, all.map(one => one.name))
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Keep Them') }),
      Dialog.warnButton({ label: trans.__('Stop All') })
    ]
  });
  if (answer.button.accept) {
    await destroyAll(context, all);
  }
}

/** End sessions; what could not be ended is told after the others were. */
export async function destroyAll(
  { api, stopped }: Pick<IContext, 'api' | 'stopped'>,
  sessions: readonly ISession[]
): Promise<void> {
  sessions.forEach(({ id }) => stopped.add(id));
  const ends = await Promise.allSettled(sessions.map(({ id }) => api.destroy(id)));
  const failed = ends.find(one => one.status === 'rejected');
  if (failed !== undefined) {
    throw failed.reason;
  }
}

/** Ask for another name, until the server takes one. */
export async function rename({ api, trans }: IContext, session: ISession): Promise<void> {
  let label = trans.__('4 to 64 letters, digits, dots, hyphens and underscores');
  for (let text = session.name; ; ) {
    const { button, value } = await InputDialog.getText({
      title: trans.__('Rename %1', session.name),
      label,
      text,
      pattern: NAME.source,
      okLabel: trans.__('Rename'),
      required: true
    });
    if (!button.accept || !value || value === session.name) {
      return;
    }
    try {
      return await api.rename(session.id, value);
    } catch (error) {
      text = value;
      label = sayError(error, trans);
    }
  }
}

/** Keep a session though nobody uses it, for as long as is chosen. */
export async function keep(context: IContext, session: ISession): Promise<void> {
  const { health, trans } = context;
  const spans = SPANS.filter(seconds => seconds <= health.now.maxExtension);
  const words = (spans.length > 0 ? spans : [health.now.maxExtension]).map(seconds =>
    seconds < HOUR
      ? trans.__('%1 min', Math.floor(seconds / 60))
      : trans._n('%1 hour', '%1 hours', Math.floor(seconds / HOUR))
  );
  const answer = await InputDialog.getItem({
    title: trans.__('Extend %1', session.name),
    label: trans.__('From now, though nobody uses it'),
    items: words,
    okLabel: trans.__('Extend')
  });
  if (answer.button.accept) {
    const seconds = spans[words.indexOf(answer.value ?? '')] ?? health.now.maxExtension;
    await keepFor(context, session, seconds);
  }
}

/** Keep a session for so many seconds, and say until when that is. */
export async function keepFor(
  { api, trans }: Pick<IContext, 'api' | 'trans'>,
  session: ISession,
  seconds: number
): Promise<void> {
  await api.extend(session.id, seconds);
  const until = new Date(Date.now() + seconds * 1000);
  const time = until.toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'short' });
  Notification.success(trans.__('%1 is kept until %2.', session.name, time), { autoClose: 5000 });
}

/** Put words into the clipboard, and show them. */
export async function copy({ trans }: IContext, words: string): Promise<void> {
  Clipboard.copyToSystem(words);
  Notification.info(trans.__('Copied: %1', words), { autoClose: 3000 });
}

function usedBy(context: IContext, session: ISession): string {
  const names = context.users.names(session.id);
  return names.length === 0
    ? ''
    : context.trans.__('Open here and using it: %1.', some(context, names));
}

function services(context: IContext, session: ISession): string {
  const names = session.services.filter(one => one.running).map(one => one.name);
  return names.length === 0 ? '' : context.trans.__('Running in it: %1.', some(context, names));
}

/** Names, as many as can be read. */
function some({ trans }: IContext, names: readonly string[]): string {
  const shown = names.slice(0, NAMED).join(', ');
  const more = names.length - NAMED;
  return more > 0 ? trans.__('%1 and %2 more', shown, more) : shown;
}

function sentences(...parts: string[]): string {
  return parts.filter(part => part !== '').join(' ');
}
