/** Opens a session's services: as a tab of JupyterLab, or of the browser. */

import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { IFrame, MainAreaWidget, ToolbarButton, WidgetTracker } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { launchIcon, refreshIcon } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { Api } from './api';
import { CommandIDs } from './commands';
import type { Sessions } from './sessions';

/**
 * What a service's page may do in a frame: all but lead JupyterLab's own tab away. Windows that it
 * opens escape these limits; browsers would show nothing there otherwise, since service pages ask
 * for no opener (`Cross-Origin-Opener-Policy`), which a window with limits cannot give.
 */
const ALLOWED = [
  'allow-downloads',
  'allow-forms',
  'allow-modals',
  'allow-popups',
  'allow-popups-to-escape-sandbox',
  'allow-same-origin',
  'allow-scripts'
];

/** What the command works with. */
interface IContext {
  readonly app: JupyterFrontEnd;
  readonly api: Api;
  readonly sessions: Sessions;
  readonly trans: TranslationBundle;
  readonly restorer: ILayoutRestorer | null;
}

/** A tab that shows one service of one session. */
class ServiceTab extends MainAreaWidget<IFrame> {
  constructor(
    readonly session: string,
    readonly service: string,
    url: string,
    trans: TranslationBundle
  ) {
    super({ content: new IFrame() });
    const frame = this.content.node.querySelector('iframe');
    if (frame !== null) {
      // Set here, since the widget's own list of names lacks one that is needed.
      frame.sandbox.add(...ALLOWED);
      frame.title = service;
    }
    this.content.url = url;
    const buttons = {
      reload: { icon: refreshIcon, tooltip: trans.__('Load the page again'), work: () => this.load(url) },
      tab: {
        icon: launchIcon,
        tooltip: trans.__('Open in a tab of the browser'),
        work: () => void window.open(url, '_blank', 'noopener')
      }
    };
    for (const [name, { icon, tooltip, work }] of Object.entries(buttons)) {
      this.toolbar.addItem(name, new ToolbarButton({ icon, tooltip, onClick: work }));
    }
  }

  private load(url: string): void {
    this.content.url = url;
  }
}

/** Add the command that opens services, and bring their tabs back after a reload. */
export function addServices(context: IContext): void {
  const { app, api, sessions, trans, restorer } = context;
  const tracker = new WidgetTracker<ServiceTab>({ namespace: 'jupyter-sessmgr-service' });
  const named = (args: ReadonlyPartialJSONObject) => ({
    id: String(args['id'] ?? ''),
    name: String(args['name'] ?? '')
  });
  app.commands.addCommand(CommandIDs.openService, {
    label: args => named(args).name || trans.__('Open Service of Session'),
    execute: async args => {
      const { id, name } = named(args);
      const session = sessions.find(id) ?? (await api.session(id));
      const service = session?.services.find(one => one.name === name);
      if (session === null || session === undefined || service === undefined) {
        throw new Error(trans.__('This session has no service %1.', name));
      }
      const tab = new ServiceTab(id, name, api.url(service.url), trans);
      tab.id = `jupyter-sessmgr-service-${id}-${name}`;
      tab.title.label = `${name} · ${session.name}`;
      tab.title.closable = true;
      app.shell.add(tab, 'main');
      await tracker.add(tab);
      return tab;
    }
  });
  void restorer?.restore(tracker, {
    command: CommandIDs.openService,
    args: tab => ({ id: tab.session, name: tab.service }),
    name: tab => tab.id
  });
}
