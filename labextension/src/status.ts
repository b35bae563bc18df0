/** The status bar's word on where the kernel in front runs. */

import type { IStatusBar } from '@jupyterlab/statusbar';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import type { IContext } from './actions/context';
import { CommandIDs } from './commands';
import { contextOf } from './front';
import type { Settings } from './settings';
import { isRemote } from './starting/picker';
import { details, shortImage, statusWord } from './words';

/** What is said: in the bar, and when it is pointed at. */
interface IWords {
  readonly text: string;
  readonly title: string;
}

/** Add the item. */
export function addStatus(bar: IStatusBar, context: IContext, settings: Settings): void {
  const { app, front, health, sessions } = context;
  const item = new Widget({ node: document.createElement('button') });
  item.addClass('jp-sessmgr-item');
  const show = () => {
    const { text, title } = words(context);
    item.node.textContent = text;
    item.node.title = title;
  };
  item.node.addEventListener('click', () => void app.commands.execute(CommandIDs.show));
  front.changed.connect(show);
  sessions.changed.connect(show);
  health.changed.connect(show);
  show();
  const asked = new Signal<Widget, void>(item);
  front.changed.connect(() => asked.emit());
  settings.changed.connect(() => asked.emit());
  bar.registerStatusItem('jupyter-sessmgr:where', {
    item,
    align: 'left',
    rank: 3,
    isActive: () => front.hasKernels && settings.now.statusBar,
    activeStateChanged: asked
  });
}

/** Say where the kernel in front runs, or that its session has ended. */
function words(context: IContext): IWords {
  const { front, health, sessions, trans, users } = context;
  const id = users.kernelOf(front.widget);
  const session = id === null ? undefined : sessions.find(id);
  if (session !== undefined) {
    const engine = health.now.engine;
    const image = shortImage(session.image);
    const where = engine === '' ? image : trans.__('%1, by the %2 engine', image, engine);
    return {
      text: trans.__('Remote: %1', session.name),
      title: `${statusWord(session, trans)} · ${where}\n${details(session, trans, Date.now())}`
    };
  }
  if (id !== null && users.wasSession(id)) {
    return {
      text: trans.__('Remote session ended'),
      title: trans.__('The next cell, or Kernel → Restart, starts a new one; variables are lost.')
    };
  }
  const starts = contextOf(front.widget)?.hasNoKernel === false;
  return front.kernel === null
    ? { text: starts ? trans.__('Kernel starts') : trans.__('No kernel'), title: '' }
    : otherKernel(context);
}

/** Say where a kernel runs that is in none of this user's sessions, as far as they are known. */
function otherKernel({ app, front, trans }: IContext): IWords {
  const { specs } = app.serviceManager.kernelspecs;
  return isRemote(specs?.kernelspecs[front.kernelName])
    ? { text: trans.__('Remote kernel'), title: '' }
    : {
        text: trans.__('Local kernel'),
        title: trans.__('This kernel runs on the Jupyter server itself, not in a remote session.')
      };
}
