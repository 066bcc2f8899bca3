CREATE TABLE alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE aliases (
    model character varying(64) NOT NULL,
    alias character varying(64) NOT NULL,
    number integer NOT NULL
);
CREATE TABLE feedback (
    receipt character varying(32) NOT NULL,
    model character varying(64) NOT NULL,
    version integer NOT NULL,
    predicted character varying(256) NOT NULL,
    confidence_bin character varying(8) NOT NULL,
    label character varying(256) NOT NULL,
    predicted_at character varying(27) NOT NULL,
    received character varying(27) NOT NULL
);
CREATE TABLE models (
    name character varying(64) NOT NULL,
    last_number integer NOT NULL,
    created character varying(27) NOT NULL
);
CREATE TABLE moves (
    id integer NOT NULL,
    model character varying(64) NOT NULL,
    alias character varying(64) NOT NULL,
    from_number integer,
    to_number integer NOT NULL,
    verdict json NOT NULL,
    forced boolean NOT NULL,
    why text NOT NULL,
    who character varying(128) NOT NULL,
    moved character varying(27) NOT NULL
);
CREATE SEQUENCE moves_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE moves_id_seq OWNED BY moves.id;
CREATE TABLE reports (
    sweep character varying(96) NOT NULL,
    trial integer NOT NULL,
    epoch integer NOT NULL,
    metrics json NOT NULL,
    checkpoint character varying(64),
    reported character varying(27) NOT NULL
);
CREATE TABLE sweeps (
    id character varying(96) NOT NULL,
    spec json NOT NULL,
    status character varying(16) NOT NULL,
    champion integer,
    registered integer,
    problem text,
    who character varying(128) NOT NULL,
    created character varying(27) NOT NULL,
    ended character varying(27)
);
CREATE TABLE trials (
    sweep character varying(96) NOT NULL,
    number integer NOT NULL,
    config json NOT NULL,
    status character varying(16) NOT NULL,
    problem text
);
CREATE TABLE versions (
    model character varying(64) NOT NULL,
    number integer NOT NULL,
    manifest character varying(64) NOT NULL,
    evidence json NOT NULL,
    lineage json NOT NULL,
    who character varying(128) NOT NULL,
    created character varying(27) NOT NULL
);
ALTER TABLE ONLY moves ALTER COLUMN id SET DEFAULT nextval('moves_id_seq'::regclass);
INSERT INTO alembic_version VALUES ('0001');
INSERT INTO aliases VALUES ('fashion', 'champion', 2);
INSERT INTO aliases VALUES ('fashion', 'challenger', 2);
INSERT INTO aliases VALUES ('letters', 'staging.eu-1', 1);
INSERT INTO feedback VALUES ('00000000000000000000000000000000', 'fashion', 2, 'cat', '0.9', 'cat', '2026-03-01T15:09:00.001234Z', '2026-03-01T15:44:00.001234Z');
INSERT INTO feedback VALUES ('00000000000000000000000000000001', 'fashion', 2, 'cat', '0.9', 'dog', '2026-03-01T15:16:00.001234Z', '2026-03-01T15:44:00.001234Z');
INSERT INTO feedback VALUES ('00000000000000000000000000000002', 'fashion', 2, 'cat', '0.9', 'dog', '2026-03-01T15:23:00.001234Z', '2026-03-01T15:44:00.001234Z');
INSERT INTO feedback VALUES ('00000000000000000000000000000003', 'fashion', 2, 'cat', '0.9', 'cat', '2026-03-01T15:30:00.001234Z', '2026-03-01T15:44:00.001234Z');
INSERT INTO feedback VALUES ('00000000000000000000000000000004', 'fashion', 2, 'cat', '0.9', 'dog', '2026-03-01T15:37:00.001234Z', '2026-03-01T15:44:00.001234Z');
INSERT INTO models VALUES ('fashion', 3, '2026-03-01T13:03:00.001234Z');
INSERT INTO models VALUES ('letters', 1, '2026-03-01T14:13:00.001234Z');
INSERT INTO models VALUES ('unused', 1, '2026-03-01T14:34:00.001234Z');
INSERT INTO moves VALUES (1, 'fashion', 'champion', NULL, 1, '{"passed": true, "reasons": []}', false, 'the first one', 'ada', '2026-03-01T13:10:00.001234Z');
INSERT INTO moves VALUES (2, 'fashion', 'champion', 1, 2, '{"passed": true, "reasons": []}', false, 'it''s better; 100%', 'Grace Höpper', '2026-03-01T13:31:00.001234Z');
INSERT INTO moves VALUES (3, 'fashion', 'challenger', NULL, 2, '{"passed": true, "reasons": []}', false, 'shadow it', 'ada', '2026-03-01T13:38:00.001234Z');
INSERT INTO moves VALUES (5, 'fashion', 'champion', 2, 3, '{"passed": false, "reasons": ["the export agrees with torch on 50.000% of labels, at least 99.9% needed", "held-out accuracy 20.00% is 40.00 points under the champion''s 60.00%"]}', true, 'I know: what I do
and why', 'ada', '2026-03-01T13:52:00.001234Z');
INSERT INTO moves VALUES (8, 'fashion', 'champion', 3, 2, '{"passed": true, "reasons": []}', false, 'back again', 'watch', '2026-03-01T13:59:00.001234Z');
INSERT INTO moves VALUES (13, 'letters', 'staging.eu-1', NULL, 1, '{"passed": true, "reasons": []}', false, '字', 'uid 1000', '2026-03-01T14:20:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 1, 1, '{"val_loss": 0.5, "val_accuracy": 0.1}', '1111111111111111111111111111111111111111111111111111111111111111', '2026-03-01T12:07:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 1, 2, '{"val_loss": 0.3333333333333333, "val_accuracy": 0.2}', NULL, '2026-03-01T12:14:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 2, 1, '{"val_loss": 0.3333333333333333, "val_accuracy": 0.1}', NULL, '2026-03-01T12:21:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 2, 2, '{"val_loss": 0.25, "val_accuracy": 0.2}', '2222222222222222222222222222222222222222222222222222222222222222', '2026-03-01T12:28:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 3, 1, '{"val_loss": 0.25, "val_accuracy": 0.1}', NULL, '2026-03-01T12:35:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 3, 2, '{"val_loss": 0.2, "val_accuracy": 0.2}', NULL, '2026-03-01T12:42:00.001234Z');
INSERT INTO reports VALUES ('fashion-1', 3, 3, '{"val_loss": null, "train_loss": null, "lr": 5e-324}', NULL, '2026-03-01T12:49:00.001234Z');
INSERT INTO reports VALUES ('letters-3', 1, 1, '{"val_loss": 0.5}', 'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd', '2026-03-01T15:02:00.001234Z');
INSERT INTO sweeps VALUES ('fashion-1', '{"name": "fashion", "space": {"optimizer.lr": {"loguniform": [0.0001, 0.1]}}}', 'finished', NULL, 1, NULL, 'ada', '2026-03-01T12:00:00.001234Z', '2026-03-01T13:17:00.001234Z');
INSERT INTO sweeps VALUES ('letters-2', '{"name": "letters"}', 'failed', 1, NULL, 'no memory', 'uid 1000', '2026-03-01T14:41:00.001234Z', '2026-03-01T14:48:00.001234Z');
INSERT INTO sweeps VALUES ('letters-3', '{"name": "letters"}', 'running', 1, NULL, NULL, 'uid 1000', '2026-03-01T14:55:00.001234Z', NULL);
INSERT INTO trials VALUES ('fashion-1', 1, '{"lr": 0.1}', 'finished', NULL);
INSERT INTO trials VALUES ('fashion-1', 2, '{"lr": 0.01}', 'stopped', NULL);
INSERT INTO trials VALUES ('fashion-1', 3, '{"lr": 0.30000000000000004}', 'failed', 'the loss is not a number;
''nan'' "quoted"');
INSERT INTO trials VALUES ('fashion-1', 4, '{"lr": 1}', 'pending', NULL);
INSERT INTO trials VALUES ('letters-2', 1, '{}', 'interrupted', NULL);
INSERT INTO trials VALUES ('letters-3', 1, '{}', 'running', NULL);
INSERT INTO trials VALUES ('letters-3', 2, '{}', 'pending', NULL);
INSERT INTO versions VALUES ('fashion', 1, 'e6ab4411f281d2761be614db8a0520648b46471f4a6d38c0ca7f45c016a6c391', '{"accuracy": 0.5, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}', '{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}', 'ada', '2026-03-01T12:56:00.001234Z');
INSERT INTO versions VALUES ('fashion', 2, 'cd65638b1b88f542a879ee065de9d510ed665cdc03bbcce7a9cb90fc4d307a7d', '{"accuracy": 0.6, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}', '{"sweep": "fashion-1", "trial": 1, "epoch": 2, "data": {"name": "fashion_mnist", "sha256": "abababababababababababababababababababababababababababababababab"}, "champion": 1}', 'ada', '2026-03-01T13:24:00.001234Z');
INSERT INTO versions VALUES ('fashion', 3, '5b595e2fe00faa6de2e4f12603fd63c69d530737a8b020c74ee0f5309505b159', '{"accuracy": 0.2, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 0.5, "max_difference": 0.25, "samples": 100}}', '{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}', 'ada', '2026-03-01T13:45:00.001234Z');
INSERT INTO versions VALUES ('letters', 1, '6c6f18e1787448d7abb9361f18c28dc954379d739eea4dc64f97541945f89405', '{"accuracy": 0.9, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}', '{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}', 'uid 1000', '2026-03-01T14:06:00.001234Z');
INSERT INTO versions VALUES ('unused', 1, '674ca278530fd6a9a418f3de02da8b219103d2ce827959aff87649c914bdfe11', '{"accuracy": 0.9, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}, "parity": {"agreement": 1.0, "max_difference": 3e-07, "samples": 100}}', '{"sweep": "fashion-1", "trial": 2, "epoch": 3, "champion": null}', 'ada', '2026-03-01T14:27:00.001234Z');
SELECT pg_catalog.setval('moves_id_seq', 17, true);
ALTER TABLE ONLY alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY aliases
    ADD CONSTRAINT pk_aliases PRIMARY KEY (model, alias);
ALTER TABLE ONLY feedback
    ADD CONSTRAINT pk_feedback PRIMARY KEY (receipt);
ALTER TABLE ONLY models
    ADD CONSTRAINT pk_models PRIMARY KEY (name);
ALTER TABLE ONLY moves
    ADD CONSTRAINT pk_moves PRIMARY KEY (id);
ALTER TABLE ONLY reports
    ADD CONSTRAINT pk_reports PRIMARY KEY (sweep, trial, epoch);
ALTER TABLE ONLY sweeps
    ADD CONSTRAINT pk_sweeps PRIMARY KEY (id);
ALTER TABLE ONLY trials
    ADD CONSTRAINT pk_trials PRIMARY KEY (sweep, number);
ALTER TABLE ONLY versions
    ADD CONSTRAINT pk_versions PRIMARY KEY (model, number);
CREATE INDEX ix_feedback_model_version_received ON feedback USING btree (model, version, received);
CREATE INDEX ix_moves_model_id ON moves USING btree (model, id);
CREATE INDEX ix_sweeps_created ON sweeps USING btree (created);
ALTER TABLE ONLY aliases
    ADD CONSTRAINT fk_aliases_model_number FOREIGN KEY (model, number) REFERENCES versions(model, number);
ALTER TABLE ONLY moves
    ADD CONSTRAINT fk_moves_model_to_number FOREIGN KEY (model, to_number) REFERENCES versions(model, number);
ALTER TABLE ONLY reports
    ADD CONSTRAINT fk_reports_sweep_trial FOREIGN KEY (sweep, trial) REFERENCES trials(sweep, number);
ALTER TABLE ONLY trials
    ADD CONSTRAINT fk_trials_sweep FOREIGN KEY (sweep) REFERENCES sweeps(id);
ALTER TABLE ONLY versions
    ADD CONSTRAINT fk_versions_model FOREIGN KEY (model) REFERENCES models(name);
