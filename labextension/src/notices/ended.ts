/** Notices about sessions that ended while a page of this window used them. */

import type { Widget } from '@lumino/widgets';

import { IContext, tell } from '../actions/context';
import { CommandIDs } from '../commands';
import { contextOf } from '../front';
import { hasEnded } from '../states';
import type { ISession } from '../tokens';
import { endReason } from '../words';
import { say } from './say';

/** Milliseconds until JupyterLab, if it ended the session itself, has noticed that. */
const SETTLE = 1500;

/**
 * Says of a session that it ended, why, and offers a new one.
 *
 * By itself JupyterLab shows "Disconnected", and starts another kernel, without a word, for the
 * next cell. Who shut the kernel down there, or stopped the session in this window, knows.
 */
export class EndedNotices {
  constructor(private readonly context: IContext) {}

  /** Look which sessions are not there any more. */
  look(): void {
    const { sessions, stopped } = this.context;
    const gone = this.alive.filter(({ id }) => !sessions.find(id) && !stopped.has(id));
    this.alive = sessions.live.filter(one => one.startedAt !== null);
    gone.forEach(one => window.setTimeout(() => void this.tell(one), SETTLE));
  }

  private async tell(session: ISession): Promise<void> {
    const { api, app, trans, users } = this.context;
    const { id } = session;
    const now = await api.session(id).catch(() => undefined);
    if (now === undefined || (now !== null && !hasEnded(now))) {
      return; // nobody knows, or a list that was older than the session lacked it
    }
    const asked = now?.stopReason === 'user-requested';
    const pages = users.of(id).filter(page => !asked || contextOf(page)?.session != null);
    if (pages.length === 0) {
      return;
    }
    const why = now === null ? trans.__('the server knows it no more') : endReason(now, trans);
    const open = pages.map(page => page.title.label).join(', ');
    say(
      trans.__('%1, which %2 used, has ended: %3. Variables are lost.', session.name, open, why),
      'warning',
      trans,
      [
        {
          label: trans.__('Start a New One'),
          displayType: 'accent',
          callback: () => void this.replace(pages, session)
        },
        {
          label: trans.__('Show History'),
          callback: () => void app.commands.execute(CommandIDs.details, { id })
        }
      ]
    );
  }

  /** Give pages that shared a kernel a new one, which they share. */
  private async replace(pages: readonly Widget[], session: ISession): Promise<void> {
    const contexts = pages.filter(page => !page.isDisposed).flatMap(page => contextOf(page) ?? []);
    const [first, ...others] = contexts;
    try {
      // JupyterLab looks every ten seconds; of a session that is gone it can change no kernel.
      await this.context.app.serviceManager.sessions.refreshRunning();
      const name = first?.prevKernelName || session.kernel;
      const kernel = await first?.changeKernel({ name });
      if (kernel) {
        await Promise.all(others.map(one => one.changeKernel({ id: kernel.id })));
      }
    } catch (error) {
      tell(error, this.context);
    }
  }

  private alive: readonly ISession[] = [];
}
