/** The status bar's word on where the kernel in front runs. */

import type { IStatusBar } from '@jupyterlab/statusbar';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';

import type { Api } from './api';
import { CommandIDs } from './commands';
import type { Front } from './front';
import type { Sessions } from './sessions';
import { details, shortImage, statusWord } from './words';

/** Add the item. */
export function addStatus(
  bar: IStatusBar,
  front: Front,
  sessions: Sessions,
  api: Api,
  commands: CommandRegistry,
  trans: TranslationBundle
): void {
  const item = new Widget({ node: document.createElement('button') });
  item.addClass('jp-sessmgr-item');
  let engine = '';
  const show = () => {
    const id = front.kernel;
    const session = id === null ? undefined : sessions.find(id);
    if (session === undefined) {
      item.node.textContent = trans.__('Local kernel');
      item.node.title = trans.__('The kernel runs beside the Jupyter server.');
    } else {
      item.node.textContent = trans.__('Remote: %1', session.name);
      const where = engine === '' ? shortImage(session.image) : `${shortImage(session.image)}, ${engine}`;
      item.node.title = `${statusWord(session, trans)} · ${where}\n${details(session, trans, Date.now())}`;
    }
  };
  item.node.addEventListener('click', () => void commands.execute(CommandIDs.show));
  front.changed.connect(show);
  sessions.changed.connect(show);
  void api
    .health()
    .then(health => {
      engine = health.engine;
      show();
    })
    .catch(() => undefined); // the item says less then
  show();
  bar.registerStatusItem('jupyter-sessmgr:where', {
    item,
    align: 'left',
    rank: 3,
    isActive: () => front.kernel !== null,
    activeStateChanged: front.changed
  });
}
