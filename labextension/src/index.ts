/** The browser's part: shows sessions, and what can be done with them. Runs in Notebook 7, too. */

import {
  IConnectionLost,
  ILabShell,
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin,
  JupyterLab
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { IStatusBar } from '@jupyterlab/statusbar';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';

import { addActions } from './actions/actions';
import { Api } from './api';
import { addDetails } from './details/details';
import { Front } from './front';
import { ServerHealth } from './health';
import { addEndNotices } from './notices/ends';
import { addStartNotices } from './notices/starts';
import { Versions } from './notices/version';
import { ReturnNotices } from './output/notices';
import { patientFetch } from './output/patience';
import { Positions } from './output/positions';
import { addReturns } from './output/returns';
import { addSaves } from './output/saves';
import { ServerWatch } from './output/server';
import { survivingSocket } from './output/socket';
import { addPanel } from './panel/add';
import { addRunning } from './running';
import { addServices } from './services';
import { Sessions } from './sessions';
import { Settings } from './settings';
import { keepEarlyCells } from './starting/early';
import { startOnce } from './starting/once';
import type { StartProgress } from './starting/progress';
import { addStarting } from './starting/starting';
import { addStatus } from './status';
import { ENGINE_HEALTH } from './tokens';
import { KernelUsers } from './users';

/** What the plugins share. */
interface IShared {
  readonly api: Api;
  readonly sessions: Sessions;
  readonly progress: StartProgress;
  readonly server: ServerWatch;
  readonly settings: Settings;
  readonly trans: TranslationBundle;
}

const IShared = new Token<IShared>('jupyter-sessmgr:shared', 'What this extension knows of sessions.');

const ISettings = new Token<Settings>('jupyter-sessmgr:ISettings', 'What the user chose.');

const settings: JupyterFrontEndPlugin<Settings> = {
  id: 'jupyter-sessmgr:settings',
  description: 'Knows the settings of remote sessions.',
  autoStart: true,
  provides: ISettings,
  optional: [ISettingRegistry],
  activate: (_app: JupyterFrontEnd, registry: ISettingRegistry | null): Settings =>
    new Settings(registry, settings.id)
};

const shared: JupyterFrontEndPlugin<IShared> = {
  id: 'jupyter-sessmgr:sessions',
  description: 'Keeps the list of remote sessions, and tells how their starts go.',
  autoStart: true,
  provides: IShared,
  requires: [ISettings],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    settings: Settings,
    translator: ITranslator | null
  ): IShared => {
    const trans = (translator ?? nullTranslator).load('jupyter_sessmgr');
    const { events, serverSettings } = app.serviceManager;
    const api = new Api(serverSettings);
    const sessions = new Sessions(api, settings);
    events.stream.connect((_, event) => sessions.heard(event));
    const progress = addStartNotices(events, { api, sessions, settings, trans });
    const versions = new Versions(api, trans);
    const begin = async () => {
      if (await versions.compare()) {
        sessions.start();
      }
    };
    const server = new ServerWatch(api);
    void app.started.then(begin);
    server.changed.connect((_, answer) => {
      if (answer === 'here') {
        void begin(); // it may be another one
      }
    });
    return { api, sessions, progress, server, settings, trans };
  }
};

const manage: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-sessmgr:manage',
  description: 'Commands, side bar, launcher and tabs for remote sessions.',
  autoStart: true,
  requires: [IShared],
  optional: [
    ILabShell,
    ILayoutRestorer,
    ICommandPalette,
    ILauncher,
    IRunningSessionManagers,
    IStatusBar,
    IStateDB,
    IDefaultFileBrowser
  ],
  activate: (
    app: JupyterFrontEnd,
    { api, sessions, progress, server, settings, trans }: IShared,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    running: IRunningSessionManagers | null,
    bar: IStatusBar | null,
    state: IStateDB | null,
    files: IDefaultFileBrowser | null
  ): void => {
    const front = new Front(app.shell);
    const users = new KernelUsers(app.shell, front, sessions);
    const health = new ServerHealth(api);
    const stopped = new Set<string>();
    const hasTabs = shell !== null;
    const about = { app, palette, files, front, hasTabs, users, health, stopped };
    const context = { ...about, api, sessions, trans };
    addActions(context);
    addServices(context, restorer);
    addDetails(context, restorer);
    const starting = { app, api, sessions, settings, trans, launcher, palette, state, files };
    const choices = addStarting(starting);
    addEndNotices(context);
    void app.started.then(() => health.refresh());
    app.serviceManager.events.stream.connect((_, event) => {
      if (event.schema_id === ENGINE_HEALTH) {
        void health.refresh();
      }
    });
    server.changed.connect((_, answer) => {
      if (answer === 'here') {
        void health.refresh();
        void choices.renew();
      }
    });
    if (running !== null) {
      addRunning(running, context);
    }
    if (shell !== null) {
      addPanel(context, progress, restorer);
    }
    if (bar !== null) {
      addStatus(bar, context, settings);
    }
  }
};

const outputs: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-sessmgr:outputs',
  description: 'Brings back what kernels wrote while the server, or the page, was away.',
  autoStart: true,
  requires: [IShared],
  optional: [INotebookTracker, JupyterLab.IInfo],
  activate: (
    app: JupyterFrontEnd,
    { api, server, sessions, settings: choices, trans }: IShared,
    notebooks: INotebookTracker | null,
    info: JupyterLab.IInfo | null
  ): void => {
    const { contents, serverSettings } = app.serviceManager;
    const settings: Mutable<typeof serverSettings> = serverSettings;
    const notices = new ReturnNotices(sessions, trans);
    server.changed.connect((_, answer) => {
      notices.changed(answer);
      if (info !== null && !inHub) {
        info.isConnected = answer === 'here'; // while not, JupyterLab saves and asks less
      } // a hub's own plugin does so, and offers to start the server when JupyterLab notices it
      if (answer === 'here') {
        void sessions.refresh();
      }
    });
    settings.WebSocket = survivingSocket(settings.WebSocket, new Positions(), server, notices);
    settings.fetch = patientFetch(settings.fetch, serverSettings.baseUrl, server);
    addSaves(app.docRegistry);
    if (notebooks !== null) {
      addReturns(notebooks, { api, contents, server, settings: choices });
      keepEarlyCells(notebooks);
      startOnce(notebooks, app.serviceManager.sessions);
    }
  }
};

const connectionLost: JupyterFrontEndPlugin<IConnectionLost> = {
  id: 'jupyter-sessmgr:connection-lost',
  description: 'Replaces the dialog about a server that is away by a notice.',
  autoStart: true,
  requires: [IShared],
  provides: IConnectionLost,
  activate: (_app: JupyterFrontEnd, { server }: IShared): IConnectionLost => {
    return async () => {
      await server.back(); // which tells, and ends when the server is back
    };
  }
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A hub has a dialog of its own, which can start the server; it stays. */
const inHub = PageConfig.getOption('hubPrefix') !== '';

const plugins = [settings, shared, manage, outputs, ...(inHub ? [] : [connectionLost])];

export default plugins;
