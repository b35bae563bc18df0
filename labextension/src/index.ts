/** The browser's part: tells how starts go. Runs in JupyterLab and in Notebook 7. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import type { Event } from '@jupyterlab/services';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';

import { Api } from './api';
import { StartNotices } from './starts';
import {
  ISessionStatus,
  IStartProgress,
  SESSION_STATUS,
  START_PROGRESS,
  VERSION
} from './tokens';

const starts: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-sessmgr:starts',
  description: 'Tells how the start of a remote kernel goes.',
  autoStart: true,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('jupyter_sessmgr');
    const { events, serverSettings } = app.serviceManager;
    const api = new Api(serverSettings);
    const notices = new StartNotices(api, trans);
    events.stream.connect((_, event) => tell(notices, event));
    void app.started.then(() => compare(api, trans));
  }
};

function tell(notices: StartNotices, event: Event.Emission): void {
  if (event.schema_id === START_PROGRESS) {
    notices.progressed(event as unknown as IStartProgress);
  } else if (event.schema_id === SESSION_STATUS) {
    notices.changed(event as unknown as ISessionStatus);
  }
}

/** Say once when the server's part is missing or is another version's. */
async function compare(api: Api, trans: TranslationBundle): Promise<void> {
  let version: string | null;
  try {
    version = await api.version();
  } catch (error) {
    console.warn('jupyter-sessmgr: the server did not say its version.', error);
    return;
  }
  if (version === null) {
    Notification.warning(
      trans.__(
        'Remote kernels are off: the server runs without the jupyter_sessmgr extension. ' +
          'Install jupyter-sessmgr into the environment of the server, or enable it with ' +
          '"jupyter server extension enable jupyter_sessmgr".'
      ),
      { autoClose: false }
    );
  } else if (version !== VERSION) {
    Notification.warning(
      trans.__(
        'jupyter-sessmgr is %1 in this page and %2 on the server. Reload the page; if that does ' +
          'not help, install the same version for both.',
        VERSION,
        version
      ),
      { autoClose: false }
    );
  }
}

export default [starts];
