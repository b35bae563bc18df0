/** One session in the list: two lines, a small graph, and what can be done with it. */

import type { TranslationBundle } from '@jupyterlab/translation';
import { closeIcon, ellipsesIcon, LabIcon, notebookIcon } from '@jupyterlab/ui-components';
import React from 'react';

import { CommandIDs } from '../commands';
import { isStarting } from '../states';
import type { ISession } from '../tokens';
import { details, mood, statusWord, usage } from '../words';
import { Graph } from './graph';
import type { IFigure } from './usage';

/** What a row can ask for. */
export interface IRowActions {
  run(command: string, session: ISession): void;
  isEnabled(command: string, session: ISession): boolean;
  /** Show all that can be done, at a point of the page. */
  menu(session: ISession, at: { x: number; y: number }): void;
}

/** Where a row stands. */
export interface ISeat {
  /** Its place in the list, from 1, and how long that is: not all of it is drawn. */
  readonly place: number;
  readonly of: number;
  /** Whether Tab stops at it; at one row of a list, arrows lead to the others. */
  readonly isStop: boolean;
  /** Called with the session's id when the row, or something in it, got the focus. */
  readonly choose: (id: string) => void;
}

interface IProps extends ISeat {
  readonly session: ISession;
  readonly figures: readonly IFigure[];
  /** How much of its start is done, between 0 and 1; undefined: not known. */
  readonly progress: number | undefined;
  readonly trans: TranslationBundle;
  readonly actions: IRowActions;
  /** For what is said in "in 5 min". */
  readonly now: number;
}

/** Drawn anew only when something of it changed. */
export const Row = React.memo(function Row(props: IProps): JSX.Element {
  const { session, figures, progress, trans, actions, now, place, of, isStop, choose } = props;
  const word = statusWord(session, trans);
  const second = details(session, trans, now);
  const mark = session.durable ? [trans.__('durable')] : [];
  return (
    <li
      className="jp-sessmgr-row"
      data-mood={mood(session)}
      data-session={session.id}
      tabIndex={isStop ? 0 : -1}
      onFocus={() => choose(session.id)}
      aria-posinset={place}
      aria-setsize={of}
      aria-label={`${[session.name, word, ...mark].join(', ')}. ${second}`}
      title={`${session.name}\n${second}`}
      onContextMenu={event => showMenu(event, session, actions)}
      onDoubleClick={() => open(session, actions)}
      onKeyDown={event => onKey(event, session, actions)}
    >
      <span className="jp-sessmgr-dot" aria-hidden="true" />
      <div className="jp-sessmgr-lines">
        <div className="jp-sessmgr-first">
          <span className="jp-sessmgr-name">{session.name}</span>
          {session.durable && (
            <span className="jp-sessmgr-durable" title={trans.__('Keeps running when the Jupyter server stops')}>
              {trans.__('durable')}
            </span>
          )}
          <span className="jp-sessmgr-status">{word}</span>
        </div>
        <div className="jp-sessmgr-below">
          <div className="jp-sessmgr-second">{second}</div>
          <Graph figures={figures} memoryLimit={session.memoryLimit} label={usage(session)} />
        </div>
        {isStarting(session) && (
          <progress
            className="jp-sessmgr-progress"
            aria-label={trans.__('Start of %1', session.name)}
            value={progress}
          />
        )}
      </div>
      <Buttons {...props} />
    </li>
  );
});

function Buttons(props: Pick<IProps, 'session' | 'trans' | 'actions' | 'isStop'>): JSX.Element {
  const { session, trans, actions, isStop } = props;
  const tabIndex = isStop ? 0 : -1;
  const button = (command: string, icon: LabIcon, label: string) => (
    <button
      className="jp-sessmgr-more"
      tabIndex={tabIndex}
      aria-label={label}
      title={label}
      disabled={!actions.isEnabled(command, session)}
      onClick={() => actions.run(command, session)}
    >
      <icon.react tag={null} />
    </button>
  );
  return (
    <div className="jp-sessmgr-buttons">
      {button(CommandIDs.openNotebook, notebookIcon, trans.__('Open a notebook on %1', session.name))}
      {button(CommandIDs.stop, closeIcon, trans.__('Stop %1', session.name))}
      <button
        className="jp-sessmgr-more"
        tabIndex={tabIndex}
        aria-label={trans.__('More about %1', session.name)}
        aria-haspopup="menu"
        title={trans.__('More')}
        onClick={event => showMenu(event, session, actions)}
      >
        <ellipsesIcon.react tag={null} />
      </button>
    </div>
  );
}

function showMenu(event: React.MouseEvent, session: ISession, actions: IRowActions): void {
  event.preventDefault();
  event.stopPropagation();
  const box = event.currentTarget.getBoundingClientRect();
  const byKeyboard = event.clientX === 0 && event.clientY === 0;
  actions.menu(session, {
    x: byKeyboard ? box.left : event.clientX,
    y: byKeyboard ? box.bottom : event.clientY
  });
}

function menuAt(row: Element, session: ISession, actions: IRowActions): void {
  const box = row.getBoundingClientRect();
  actions.menu(session, { x: box.left, y: box.bottom });
}

/** Open a notebook on a session; where there is nothing to run code, what is known of it. */
function open(session: ISession, actions: IRowActions): void {
  const notebook = actions.isEnabled(CommandIDs.openNotebook, session);
  actions.run(notebook ? CommandIDs.openNotebook : CommandIDs.details, session);
}

function onKey(event: React.KeyboardEvent<HTMLElement>, session: ISession, actions: IRowActions): void {
  if (event.target !== event.currentTarget) {
    return; // a button's own
  }
  const row = event.currentTarget;
  const keys: Record<string, () => void> = {
    ArrowDown: () => focus(row.nextElementSibling),
    ArrowUp: () => focus(row.previousElementSibling),
    Enter: () => open(session, actions),
    Delete: () => actions.run(CommandIDs.stop, session),
    F2: () => actions.run(CommandIDs.rename, session),
    ContextMenu: () => menuAt(row, session, actions),
    'Shift+F10': () => menuAt(row, session, actions)
  };
  const work = keys[event.shiftKey ? `Shift+${event.key}` : event.key];
  if (work !== undefined) {
    event.preventDefault();
    work();
  }
}

function focus(element: Element | null): void {
  if (element instanceof HTMLElement) {
    element.focus();
  }
}
