/** What a person can do with a session: one command each, for rows, menus and the palette. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import {
  Clipboard,
  Dialog,
  ICommandPalette,
  InputDialog,
  Notification,
  showDialog
} from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { Api } from './api';
import { CommandIDs } from './commands';
import type { Sessions } from './sessions';
import { FINAL, ISession } from './tokens';

type Args = ReadonlyPartialJSONObject;

/** What the commands work with. */
export interface IContext {
  readonly app: JupyterFrontEnd;
  readonly api: Api;
  readonly sessions: Sessions;
  readonly trans: TranslationBundle;
  readonly palette: ICommandPalette | null;
  /** The session whose kernel the page in front uses; null when it is none of ours. */
  readonly current: () => string | null;
}

/** A command about one session. */
interface IAction {
  readonly id: string;
  readonly label: string;
  /** Statuses of sessions that it is for. */
  readonly of: (session: ISession) => boolean;
  readonly work: (session: ISession) => Promise<void>;
}

const runs = (session: ISession) => session.status === 'RUNNING';
const lives = (session: ISession) => !FINAL.has(session.status);
const rests = (session: ISession) => session.status === 'SUSPENDED';
const hasKernel = (session: ISession) => session.kernel !== '' && (runs(session) || rests(session));

/** Add the commands about a session. */
export function addActions(context: IContext): void {
  const { app, palette, trans } = context;
  for (const action of actions(context)) {
    app.commands.addCommand(action.id, {
      label: action.label,
      isEnabled: args => {
        const session = chosen(context, args);
        return session !== null && action.of(session);
      },
      execute: args => perform(context, action, args)
    });
    palette?.addItem({ command: action.id, category: trans.__('Remote Sessions') });
  }
}

/** The session that a command is for: the one named, or else that of the page in front. */
function chosen({ sessions, current }: IContext, args: Args): ISession | null {
  const id = typeof args['id'] === 'string' ? args['id'] : current();
  if (id === null) {
    return null;
  }
  return sessions.find(id) ?? sessions.ended.find(one => one.id === id) ?? null;
}

async function perform(context: IContext, action: IAction, args: Args): Promise<void> {
  const session = chosen(context, args);
  if (session === null) {
    return;
  }
  try {
    await action.work(session);
  } catch (error) {
    Notification.error(error instanceof Error ? error.message : String(error), {
      autoClose: false
    });
  }
  await context.sessions.refresh();
}

function actions(context: IContext): IAction[] {
  const { api, app, trans } = context;
  return [
    {
      id: CommandIDs.openNotebook,
      label: trans.__('Open Notebook on Session'),
      of: hasKernel,
      work: async session => {
        await app.commands.execute('notebook:create-new', { kernelId: session.id });
      }
    },
    {
      id: CommandIDs.openConsole,
      label: trans.__('Open Console on Session'),
      of: hasKernel,
      work: async session => {
        await app.commands.execute('console:create', { kernelPreference: { id: session.id } });
      }
    },
    {
      id: CommandIDs.restart,
      label: trans.__('Restart Session…'),
      of: runs,
      work: session => restart(context, session)
    },
    {
      id: CommandIDs.suspend,
      label: trans.__('Suspend Session'),
      of: runs,
      work: session => api.suspend(session.id)
    },
    {
      id: CommandIDs.resume,
      label: trans.__('Resume Session'),
      of: rests,
      work: session => api.resume(session.id)
    },
    {
      id: CommandIDs.rename,
      label: trans.__('Rename Session…'),
      of: lives,
      work: session => rename(context, session)
    },
    {
      id: CommandIDs.copyUrl,
      label: trans.__('Copy URL of Session'),
      of: lives,
      work: async session => copy(context, api.url(api.path(session.id)))
    },
    {
      id: CommandIDs.copyAttach,
      label: trans.__('Copy Command to Attach to Session'),
      of: hasKernel,
      work: async session => copy(context, `jupyter sessmgr attach ${session.name}`)
    },
    {
      id: CommandIDs.stop,
      label: trans.__('Stop Session…'),
      of: lives,
      work: session => stop(context, session)
    }
  ];
}

async function restart({ api, trans }: IContext, session: ISession): Promise<void> {
  const answer = await showDialog({
    title: trans.__('Restart %1?', session.name),
    body: trans.__('Its variables are lost. Its services, files and URLs stay.'),
    buttons: [
      Dialog.cancelButton(),
      Dialog.warnButton({ label: trans.__('Restart') })
    ]
  });
  if (answer.button.accept) {
    await api.restart(session.id);
  }
}

async function stop({ api, trans }: IContext, session: ISession): Promise<void> {
  const starts = session.startedAt === null;
  const answer = await showDialog({
    title: starts
      ? trans.__('Cancel the start of %1?', session.name)
      : trans.__('Stop %1?', session.name),
    body: starts
      ? trans.__('It has not started yet, so nothing is lost.')
      : trans.__(
          'Its variables, running programs and services are lost. Files in its home and in ' +
            'mounted folders stay.'
        ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Keep It') }),
      Dialog.warnButton({ label: starts ? trans.__('Cancel Start') : trans.__('Stop') })
    ]
  });
  if (answer.button.accept) {
    await api.destroy(session.id);
  }
}

async function rename({ api, trans }: IContext, session: ISession): Promise<void> {
  const answer = await InputDialog.getText({
    title: trans.__('Rename %1', session.name),
    label: trans.__('4 to 64 letters, digits, dots, hyphens and underscores'),
    text: session.name,
    okLabel: trans.__('Rename'),
    required: true
  });
  if (answer.button.accept && answer.value && answer.value !== session.name) {
    await api.rename(session.id, answer.value);
  }
}

async function copy({ trans }: IContext, words: string): Promise<void> {
  Clipboard.copyToSystem(words);
  Notification.info(trans.__('Copied: %1', words), { autoClose: 3000 });
}
