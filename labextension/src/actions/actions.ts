/** What a person can do with a session: one command each, for rows, menus and the palette. */

import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { CommandIDs } from '../commands';
import { hasEnded, isForIdle, isRunning, isSuspended, isUsable } from '../states';
import type { ISession } from '../tokens';
import { candidates, chosen } from './choosing';
import { IAction, IContext, tell } from './context';
import { copy, keep, rename, restart, stop, stopAll } from './dialogs';
import { folderOf, hasConsoles, openConsole, openNotebook } from './opening';

type Args = ReadonlyPartialJSONObject;

const lives = (session: ISession) => !hasEnded(session);

/** Add the commands about a session, and the one about all of them. */
export function addActions(context: IContext): void {
  const { app, palette, trans, sessions, health } = context;
  const category = trans.__('Remote Sessions');
  for (const action of actions(context)) {
    app.commands.addCommand(action.id, {
      label: () => labelOf(action),
      isVisible: args => candidates(context, args, action.of).length > 0,
      isEnabled: args => !action.unable?.() && candidates(context, args, action.of).length > 0,
      execute: args => perform(context, action, args)
    });
    palette?.addItem({ command: action.id, category });
  }
  app.commands.addCommand(CommandIDs.stopAll, {
    label: trans.__('Stop All Sessions…'),
    isEnabled: () => sessions.live.length > 0,
    execute: () => guarded(context, () => stopAll(context))
  });
  palette?.addItem({ command: CommandIDs.stopAll, category });
  health.changed.connect(() => app.commands.notifyCommandChanged(CommandIDs.suspend));
}

/** What a command is called, with the reason why it cannot be used here. */
function labelOf({ label, unable }: IAction): string {
  const why = unable?.() ?? '';
  return why === '' ? label : `${label} (${why})`;
}

async function perform(context: IContext, action: IAction, args: Args): Promise<void> {
  const session = await chosen(context, args, action.of, action.label);
  if (session !== null) {
    await guarded(context, () => action.work(session));
  }
}

/** Do something, tell what went wrong, and look what came of it. */
async function guarded(context: IContext, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    tell(error, context);
  }
  await context.sessions.refresh();
}

function actions(context: IContext): IAction[] {
  return [...openings(context), ...changes(context), ...copies(context)];
}

function openings({ app, files, trans }: IContext): IAction[] {
  return [
    {
      id: CommandIDs.openNotebook,
      label: trans.__('Open Notebook on Session'),
      of: isUsable,
      work: ({ id }) => openNotebook(app, { id }, folderOf(files, {}))
    },
    {
      id: CommandIDs.openConsole,
      label: trans.__('Open Console on Session'),
      of: session => isUsable(session) && hasConsoles(app),
      work: ({ id }) => openConsole(app, { id }, folderOf(files, {}))
    }
  ];
}

function changes(context: IContext): IAction[] {
  const { api, health, trans } = context;
  const still = () => {
    const { suspends, engine } = health.now;
    if (suspends) {
      return '';
    }
    return engine === ''
      ? trans.__('not known yet')
      : trans.__('not supported by the %1 engine', engine);
  };
  return [
    {
      id: CommandIDs.restart,
      label: trans.__('Restart Session…'),
      of: isRunning,
      work: session => restart(context, session)
    },
    {
      id: CommandIDs.suspend,
      label: trans.__('Suspend Session'),
      of: isRunning,
      unable: still,
      work: session => api.suspend(session.id)
    },
    {
      id: CommandIDs.resume,
      label: trans.__('Resume Session'),
      of: isSuspended,
      work: session => api.resume(session.id)
    },
    {
      id: CommandIDs.keep,
      label: trans.__('Extend Session…'),
      of: ({ endsBy }) => isForIdle(endsBy) && health.now.maxExtension > 0,
      work: session => keep(context, session)
    },
    {
      id: CommandIDs.rename,
      label: trans.__('Rename Session…'),
      of: lives,
      work: session => rename(context, session)
    },
    {
      id: CommandIDs.stop,
      label: trans.__('Stop Session…'),
      of: lives,
      work: session => stop(context, session)
    }
  ];
}

function copies(context: IContext): IAction[] {
  const { api, trans } = context;
  return [
    {
      id: CommandIDs.copyUrl,
      label: trans.__('Copy URL of Session'),
      of: lives,
      work: session => copy(context, api.url(api.path(session.id)))
    },
    {
      id: CommandIDs.copyAttach,
      label: trans.__('Copy Command to Attach to Session'),
      of: isUsable,
      work: session => copy(context, `jupyter sessmgr attach ${session.name}`)
    }
  ];
}
