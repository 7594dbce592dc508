-- What a host script touches of a WhereScape RED repository, for tests: tables, routines, and rows to begin with.
-- T-SQL. Batches end with a line GO; each is run by itself, autocommitted. Names, order, types and codes of routines
-- are documented; most widths, the counts of a task, and the tables of job logs are made up. dss_test_* is the tests'.

DROP PROCEDURE IF EXISTS dbo.Ws_Job_Clear_Archive;
DROP PROCEDURE IF EXISTS dbo.Ws_Job_Clear_Logs;
DROP PROCEDURE IF EXISTS dbo.Ws_Job_Clear_Logs_By_Date;
DROP PROCEDURE IF EXISTS dbo.WsWrkErrorBulk;
DROP PROCEDURE IF EXISTS dbo.WsWrkError;
DROP PROCEDURE IF EXISTS dbo.WsWrkAuditBulk;
DROP PROCEDURE IF EXISTS dbo.WsWrkAudit;
DROP PROCEDURE IF EXISTS dbo.WsWrkTask;
DROP PROCEDURE IF EXISTS dbo.WsParameterWrite;
DROP PROCEDURE IF EXISTS dbo.WsParameterRead;
DROP FUNCTION IF EXISTS dbo.WsParameterReadF;
DROP TABLE IF EXISTS dbo.dss_test_call;
DROP TABLE IF EXISTS dbo.dss_test_switch;
DROP TABLE IF EXISTS dbo.ws_wrk_job_archive;
DROP TABLE IF EXISTS dbo.ws_wrk_job_log;
DROP TABLE IF EXISTS dbo.ws_wrk_error_log;
DROP TABLE IF EXISTS dbo.ws_wrk_audit_log;
DROP TABLE IF EXISTS dbo.ws_wrk_task_run;
DROP TABLE IF EXISTS dbo.dss_parameter;
DROP TABLE IF EXISTS dbo.ws_dim_col;
DROP TABLE IF EXISTS dbo.ws_dim_tab;
DROP TABLE IF EXISTS dbo.ws_fact_col;
DROP TABLE IF EXISTS dbo.ws_fact_tab;
DROP TABLE IF EXISTS dbo.ws_stage_col;
DROP TABLE IF EXISTS dbo.ws_stage_tab;
DROP TABLE IF EXISTS dbo.ws_load_col;
DROP TABLE IF EXISTS dbo.ws_load_tab;
DROP TABLE IF EXISTS dbo.ws_obj_object;
DROP TABLE IF EXISTS dbo.ws_dbc_target;
GO

-- Objects: one row each, and where their target puts them.
CREATE TABLE dbo.ws_dbc_target (dt_target_key int NOT NULL PRIMARY KEY, dt_connect_key int NULL, dt_schema varchar(64) NULL);
GO
CREATE TABLE dbo.ws_obj_object (oo_obj_key int NOT NULL PRIMARY KEY, oo_name varchar(64) NOT NULL, oo_type_key int NULL, oo_target_key int NULL);
GO
CREATE TABLE dbo.ws_load_tab (lt_obj_key int NOT NULL PRIMARY KEY, lt_table_name varchar(64) NOT NULL, lt_description varchar(256) NULL, lt_connect_key int NULL, lt_file_path varchar(256) NULL, lt_file_name varchar(256) NULL);
GO
CREATE TABLE dbo.ws_load_col (lc_col_key int IDENTITY(1, 1) NOT NULL PRIMARY KEY, lc_obj_key int NOT NULL, lc_col_name varchar(64) NOT NULL,
    lc_display_name varchar(256) NULL, lc_data_type varchar(64) NULL, lc_nulls_flag char(1) NULL, lc_numeric_flag char(1) NULL, lc_additive_flag char(1) NULL, lc_attribute_flag char(1) NULL,
    lc_src_table varchar(256) NULL, lc_src_column varchar(256) NULL, lc_src_strategy varchar(1024) NULL, lc_transform_code varchar(4000) NULL, lc_order int NULL);
GO
CREATE TABLE dbo.ws_stage_tab (st_obj_key int NOT NULL PRIMARY KEY, st_table_name varchar(64) NOT NULL);
GO
CREATE TABLE dbo.ws_stage_col (sc_col_key int IDENTITY(1, 1) NOT NULL PRIMARY KEY, sc_obj_key int NOT NULL, sc_col_name varchar(64) NOT NULL, sc_data_type varchar(64) NULL, sc_order int NULL);
GO
CREATE TABLE dbo.ws_fact_tab (ft_obj_key int NOT NULL PRIMARY KEY, ft_table_name varchar(64) NOT NULL);
GO
CREATE TABLE dbo.ws_fact_col (fc_col_key int IDENTITY(1, 1) NOT NULL PRIMARY KEY, fc_obj_key int NOT NULL, fc_col_name varchar(64) NOT NULL, fc_data_type varchar(64) NULL, fc_key_type char(1) NULL, fc_order int NULL);
GO
CREATE TABLE dbo.ws_dim_tab (dt_obj_key int NOT NULL PRIMARY KEY, dt_table_name varchar(64) NOT NULL);
GO
CREATE TABLE dbo.ws_dim_col (dc_col_key int IDENTITY(1, 1) NOT NULL PRIMARY KEY, dc_obj_key int NOT NULL, dc_col_name varchar(64) NOT NULL, dc_key_type char(1) NULL, dc_order int NULL);
GO

-- Parameters, whose names differ by capitals, and logs.
CREATE TABLE dbo.dss_parameter (dss_parameter_name varchar(64) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY, dss_parameter_value varchar(2000) NULL, dss_parameter_comment varchar(256) NULL);
GO
CREATE TABLE dbo.ws_wrk_task_run (wtr_job_key int NOT NULL, wtr_task_key int NOT NULL, wtr_sequence int NOT NULL, wtr_name varchar(64) NULL, wtr_run_status char(1) NULL, wtr_return_msg varchar(256) NULL,
    wtr_info_count int NOT NULL DEFAULT 0, wtr_detail_count int NOT NULL DEFAULT 0, wtr_inserted_count int NULL, wtr_updated_count int NULL, wtr_replaced_count int NULL, wtr_deleted_count int NULL,
    wtr_discarded_count int NULL, wtr_rejected_count int NULL, wtr_errored_count int NULL, PRIMARY KEY (wtr_job_key, wtr_task_key, wtr_sequence));
GO
CREATE TABLE dbo.ws_wrk_audit_log (wa_time_stamp datetime NOT NULL DEFAULT CURRENT_TIMESTAMP, wa_sequence int NULL, wa_job varchar(64) NULL, wa_task varchar(64) NULL, wa_status char(1) NULL,
    wa_message varchar(256) NULL, wa_db_msg_code varchar(10) NULL, wa_db_msg_desc varchar(256) NULL, wa_task_key int NULL, wa_job_key int NULL);
GO
CREATE TABLE dbo.ws_wrk_error_log (wd_time_stamp datetime NOT NULL DEFAULT CURRENT_TIMESTAMP, wd_sequence int NULL, wd_job varchar(64) NULL, wd_task varchar(64) NULL, wd_status char(1) NULL,
    wd_message varchar(256) NULL, wd_db_msg_code varchar(10) NULL, wd_db_msg_desc varchar(256) NULL, wd_task_key int NULL, wd_job_key int NULL, wd_message_type varchar(10) NULL);
GO
CREATE TABLE dbo.ws_wrk_job_log (wjl_job varchar(64) NOT NULL, wjl_sequence int NOT NULL, wjl_completed datetime NOT NULL);
GO
CREATE TABLE dbo.ws_wrk_job_archive (wja_job varchar(64) NOT NULL, wja_sequence int NOT NULL, wja_completed datetime NOT NULL);
GO

-- What the routines shall do. noisy 1: they leave row counts as the caller has them; 2: they switch them on themselves.
-- fail 1: they answer with their error codes and change nothing.
CREATE TABLE dbo.dss_test_switch (noisy int NOT NULL, fail int NOT NULL);
GO
CREATE TABLE dbo.dss_test_call (call_no int IDENTITY(1, 1) NOT NULL PRIMARY KEY, routine varchar(64) NOT NULL, arguments varchar(4000) NULL);
GO
INSERT INTO dbo.dss_test_switch (noisy, fail) VALUES (0, 0);
GO

CREATE PROCEDURE dbo.WsParameterRead @p_parameter varchar(64), @p_value varchar(2000) OUTPUT, @p_comment varchar(256) OUTPUT
AS
BEGIN
    DECLARE @noisy int = (SELECT noisy FROM dbo.dss_test_switch);
    IF @noisy = 0 SET NOCOUNT ON;
    IF @noisy = 2 SET NOCOUNT OFF;
    INSERT INTO dbo.dss_test_call (routine, arguments) VALUES ('WsParameterRead', @p_parameter);
    SELECT @p_value = NULL, @p_comment = NULL;
    SELECT @p_value = dss_parameter_value, @p_comment = dss_parameter_comment FROM dbo.dss_parameter WHERE dss_parameter_name = @p_parameter COLLATE Latin1_General_BIN2;
    IF EXISTS (SELECT 1 FROM dbo.dss_test_switch WHERE fail = 1) RETURN (-3);
    RETURN (0);
END;
GO
CREATE FUNCTION dbo.WsParameterReadF (@p_parameter varchar(64)) RETURNS varchar(2000)
AS
BEGIN
    RETURN (SELECT dss_parameter_value FROM dbo.dss_parameter WHERE dss_parameter_name = @p_parameter COLLATE Latin1_General_BIN2);
END;
GO
CREATE PROCEDURE dbo.WsParameterWrite @p_parameter varchar(64), @p_value varchar(2000), @p_comment varchar(256) = NULL
AS
BEGIN
    DECLARE @noisy int = (SELECT noisy FROM dbo.dss_test_switch);
    IF @noisy = 0 SET NOCOUNT ON;
    IF @noisy = 2 SET NOCOUNT OFF;
    IF @p_parameter IS NULL OR EXISTS (SELECT 1 FROM dbo.dss_test_switch WHERE fail = 1) RETURN (-3);
    INSERT INTO dbo.dss_test_call (routine, arguments) VALUES ('WsParameterWrite', @p_parameter);
    UPDATE dbo.dss_parameter SET dss_parameter_value = @p_value, dss_parameter_comment = COALESCE(@p_comment, dss_parameter_comment) WHERE dss_parameter_name = @p_parameter COLLATE Latin1_General_BIN2;
    IF @@ROWCOUNT > 0 RETURN (1);
    INSERT INTO dbo.dss_parameter (dss_parameter_name, dss_parameter_value, dss_parameter_comment) VALUES (@p_parameter, @p_value, @p_comment);
    RETURN (2);
END;
GO
CREATE PROCEDURE dbo.WsWrkTask @p_job_key int, @p_task_key int, @p_sequence int, @p_inserted int, @p_updated int, @p_replaced int, @p_deleted int, @p_discarded int, @p_rejected int, @p_errored int
AS
BEGIN
    DECLARE @noisy int = (SELECT noisy FROM dbo.dss_test_switch);
    IF @noisy = 0 SET NOCOUNT ON;
    IF @noisy = 2 SET NOCOUNT OFF;
    IF EXISTS (SELECT 1 FROM dbo.dss_test_switch WHERE fail = 1) RETURN (-3);
    INSERT INTO dbo.dss_test_call (routine, arguments) VALUES ('WsWrkTask', CONCAT_WS(', ', @p_job_key, @p_task_key, @p_sequence, @p_inserted, @p_updated, @p_replaced, @p_deleted, @p_discarded, @p_rejected, @p_errored));
    UPDATE dbo.ws_wrk_task_run SET wtr_inserted_count = @p_inserted, wtr_updated_count = @p_updated, wtr_replaced_count = @p_replaced, wtr_deleted_count = @p_deleted, wtr_discarded_count = @p_discarded,
           wtr_rejected_count = @p_rejected, wtr_errored_count = @p_errored
     WHERE wtr_job_key = @p_job_key AND wtr_task_key = @p_task_key AND wtr_sequence = @p_sequence;
    IF @@ROWCOUNT = 0 RETURN (-1);
    RETURN (0);
END;
GO
CREATE PROCEDURE dbo.WsWrkAudit @p_status_code varchar(1), @p_job_name varchar(64), @p_task_name varchar(64), @p_sequence int, @p_message varchar(256), @p_db_code varchar(10), @p_db_msg varchar(256), @p_task_key int, @p_job_key int
AS
BEGIN
    DECLARE @noisy int = (SELECT noisy FROM dbo.dss_test_switch);
    IF @noisy = 0 SET NOCOUNT ON;
    IF @noisy = 2 SET NOCOUNT OFF;
    IF @p_status_code NOT IN ('B', 'I', 'S', 'W', 'E', 'F') OR EXISTS (SELECT 1 FROM dbo.dss_test_switch WHERE fail = 1) RETURN (-3);
    INSERT INTO dbo.ws_wrk_audit_log (wa_sequence, wa_job, wa_task, wa_status, wa_message, wa_db_msg_code, wa_db_msg_desc, wa_task_key, wa_job_key)
    VALUES (@p_sequence, @p_job_name, @p_task_name, @p_status_code, @p_message, @p_db_code, @p_db_msg, @p_task_key, @p_job_key);
    UPDATE dbo.ws_wrk_task_run SET wtr_info_count = wtr_info_count + 1 WHERE wtr_job_key = @p_job_key AND wtr_task_key = @p_task_key AND wtr_sequence = @p_sequence;
    RETURN (1);
END;
GO
CREATE PROCEDURE dbo.WsWrkError @p_status_code varchar(1), @p_job_name varchar(64), @p_task_name varchar(64), @p_sequence int, @p_message varchar(256), @p_db_code varchar(10), @p_db_msg varchar(256), @p_task_key int, @p_job_key int, @p_msg_type varchar(10)
AS
BEGIN
    DECLARE @noisy int = (SELECT noisy FROM dbo.dss_test_switch);
    IF @noisy = 0 SET NOCOUNT ON;
    IF @noisy = 2 SET NOCOUNT OFF;
    IF @p_status_code NOT IN ('I', 'W', 'E') OR EXISTS (SELECT 1 FROM dbo.dss_test_switch WHERE fail = 1) RETURN (-3);
    INSERT INTO dbo.ws_wrk_error_log (wd_sequence, wd_job, wd_task, wd_status, wd_message, wd_db_msg_code, wd_db_msg_desc, wd_task_key, wd_job_key, wd_message_type)
    VALUES (@p_sequence, @p_job_name, @p_task_name, @p_status_code, @p_message, @p_db_code, @p_db_msg, @p_task_key, @p_job_key, @p_msg_type);
    UPDATE dbo.ws_wrk_task_run SET wtr_detail_count = wtr_detail_count + 1 WHERE wtr_job_key = @p_job_key AND wtr_task_key = @p_task_key AND wtr_sequence = @p_sequence;
    RETURN (1);
END;
GO
CREATE PROCEDURE dbo.WsWrkAuditBulk @p_status_code varchar(1), @p_job_name varchar(64), @p_task_name varchar(64), @p_sequence int, @p_message varchar(max), @p_db_code varchar(10), @p_db_msg varchar(256), @p_task_key int, @p_job_key int
AS
BEGIN
    DECLARE @line varchar(256), @at int, @code int = 1;
    SET @p_message = REPLACE(@p_message, '~', CHAR(10)) + CHAR(10);
    WHILE LEN(@p_message) > 0 AND @code = 1
    BEGIN
        SET @at = CHARINDEX(CHAR(10), @p_message);
        SET @line = LEFT(@p_message, @at - 1);
        SET @p_message = SUBSTRING(@p_message, @at + 1, LEN(@p_message));
        EXEC @code = dbo.WsWrkAudit @p_status_code, @p_job_name, @p_task_name, @p_sequence, @line, @p_db_code, @p_db_msg, @p_task_key, @p_job_key;
    END;
    RETURN @code;
END;
GO
CREATE PROCEDURE dbo.WsWrkErrorBulk @p_status_code varchar(1), @p_job_name varchar(64), @p_task_name varchar(64), @p_sequence int, @p_message varchar(max), @p_db_code varchar(10), @p_db_msg varchar(256), @p_task_key int, @p_job_key int, @p_msg_type varchar(10)
AS
BEGIN
    DECLARE @line varchar(256), @at int, @code int = 1;
    SET @p_message = REPLACE(@p_message, '~', CHAR(10)) + CHAR(10);
    WHILE LEN(@p_message) > 0 AND @code = 1
    BEGIN
        SET @at = CHARINDEX(CHAR(10), @p_message);
        SET @line = LEFT(@p_message, @at - 1);
        SET @p_message = SUBSTRING(@p_message, @at + 1, LEN(@p_message));
        EXEC @code = dbo.WsWrkError @p_status_code, @p_job_name, @p_task_name, @p_sequence, @line, @p_db_code, @p_db_msg, @p_task_key, @p_job_key, @p_msg_type;
    END;
    RETURN @code;
END;
GO
CREATE PROCEDURE dbo.Ws_Job_Clear_Logs_By_Date @p_sequence int, @p_job_name varchar(64), @p_task_name varchar(64), @p_job_id int, @p_task_id int, @p_job_to_clean varchar(64), @p_day_count int,
    @p_return_code varchar(1) OUTPUT, @p_return_msg varchar(256) OUTPUT, @p_result int OUTPUT
AS
BEGIN
    DECLARE @noisy int = (SELECT noisy FROM dbo.dss_test_switch), @limit datetime, @moved int;
    IF @noisy = 0 SET NOCOUNT ON;
    IF @noisy = 2 SET NOCOUNT OFF;
    IF EXISTS (SELECT 1 FROM dbo.dss_test_switch WHERE fail = 1)
    BEGIN
        SELECT @p_return_code = 'F', @p_return_msg = 'Forced failure', @p_result = -3;
        RETURN (0);
    END;
    IF @p_day_count < 0 OR NOT EXISTS (SELECT 1 FROM dbo.ws_wrk_job_log WHERE wjl_job LIKE @p_job_to_clean)
    BEGIN
        SELECT @p_return_code = 'E', @p_return_msg = 'No such job or number of days', @p_result = -2;
        RETURN (0);
    END;
    SET @limit = DATEADD(day, -@p_day_count, CURRENT_TIMESTAMP);
    INSERT INTO dbo.ws_wrk_job_archive (wja_job, wja_sequence, wja_completed) SELECT wjl_job, wjl_sequence, wjl_completed FROM dbo.ws_wrk_job_log WHERE wjl_job LIKE @p_job_to_clean AND wjl_completed < @limit;
    SET @moved = @@ROWCOUNT;
    DELETE FROM dbo.ws_wrk_job_log WHERE wjl_job LIKE @p_job_to_clean AND wjl_completed < @limit;
    SELECT @p_return_code = 'S', @p_return_msg = CONCAT(@moved, ' job logs archived'), @p_result = 1;
    RETURN (0);
END;
GO
CREATE PROCEDURE dbo.Ws_Job_Clear_Logs @p_sequence int, @p_job_name varchar(64), @p_task_name varchar(64), @p_job_id int, @p_task_id int, @p_job_to_clean varchar(64), @p_keep_count int,
    @p_return_code varchar(1) OUTPUT, @p_return_msg varchar(256) OUTPUT, @p_result int OUTPUT
AS
BEGIN
    DECLARE @noisy int = (SELECT noisy FROM dbo.dss_test_switch), @moved int;
    IF @noisy = 0 SET NOCOUNT ON;
    IF @noisy = 2 SET NOCOUNT OFF;
    IF EXISTS (SELECT 1 FROM dbo.dss_test_switch WHERE fail = 1)
    BEGIN
        SELECT @p_return_code = 'F', @p_return_msg = 'Forced failure', @p_result = -3;
        RETURN (0);
    END;
    IF @p_keep_count < 0 OR NOT EXISTS (SELECT 1 FROM dbo.ws_wrk_job_log WHERE wjl_job LIKE @p_job_to_clean)
    BEGIN
        SELECT @p_return_code = 'E', @p_return_msg = 'No such job or number of runs', @p_result = -2;
        RETURN (0);
    END;
    INSERT INTO dbo.ws_wrk_job_archive (wja_job, wja_sequence, wja_completed) SELECT l.wjl_job, l.wjl_sequence, l.wjl_completed FROM dbo.ws_wrk_job_log AS l
     WHERE l.wjl_job LIKE @p_job_to_clean AND (SELECT COUNT(*) FROM dbo.ws_wrk_job_log AS n WHERE n.wjl_job = l.wjl_job AND n.wjl_completed > l.wjl_completed) >= @p_keep_count;
    SET @moved = @@ROWCOUNT;
    DELETE l FROM dbo.ws_wrk_job_log AS l WHERE EXISTS (SELECT 1 FROM dbo.ws_wrk_job_archive AS a WHERE a.wja_job = l.wjl_job AND a.wja_sequence = l.wjl_sequence);
    SELECT @p_return_code = 'S', @p_return_msg = CONCAT(@moved, ' job logs archived'), @p_result = 1;
    RETURN (0);
END;
GO
CREATE PROCEDURE dbo.Ws_Job_Clear_Archive @p_sequence int, @p_job_name varchar(64), @p_task_name varchar(64), @p_job_id int, @p_task_id int, @p_day_count int, @p_job varchar(64), @p_options varchar(256),
    @p_return_code varchar(1) OUTPUT, @p_return_msg varchar(256) OUTPUT, @p_result int OUTPUT
AS
BEGIN
    DECLARE @noisy int = (SELECT noisy FROM dbo.dss_test_switch), @gone int;
    IF @noisy = 0 SET NOCOUNT ON;
    IF @noisy = 2 SET NOCOUNT OFF;
    IF EXISTS (SELECT 1 FROM dbo.dss_test_switch WHERE fail = 1)
    BEGIN
        SELECT @p_return_code = 'F', @p_return_msg = 'Forced failure', @p_result = -3;
        RETURN (0);
    END;
    IF @p_options = 'TRUNCATE'
        DELETE FROM dbo.ws_wrk_job_archive;
    ELSE
        DELETE FROM dbo.ws_wrk_job_archive WHERE wja_job LIKE @p_job AND wja_completed < DATEADD(day, -@p_day_count, CURRENT_TIMESTAMP);
    SET @gone = @@ROWCOUNT;
    SELECT @p_return_code = 'S', @p_return_msg = CONCAT(@gone, ' archived logs removed'), @p_result = 1;
    RETURN (0);
END;
GO

-- What most tests begin with.
INSERT INTO dbo.ws_dbc_target (dt_target_key, dt_connect_key, dt_schema) VALUES (1, 10, 'load'), (2, 10, 'stage'), (3, 10, 'star');
GO
INSERT INTO dbo.ws_obj_object (oo_obj_key, oo_name, oo_type_key, oo_target_key)
VALUES (101, 'load_jira_issue', 1, 1), (102, 'load_gitlab_branch', 1, 1), (201, 'stage_hubspot_company_voys', 2, 2), (301, 'fact_call', 3, 3), (302, 'fact_without_dimension', 3, 3);
GO
INSERT INTO dbo.ws_load_tab (lt_obj_key, lt_table_name) VALUES (101, 'load_jira_issue'), (102, 'load_gitlab_branch');
GO
INSERT INTO dbo.ws_load_col (lc_obj_key, lc_col_name, lc_display_name, lc_data_type, lc_nulls_flag, lc_numeric_flag, lc_additive_flag, lc_attribute_flag, lc_src_table, lc_src_column, lc_src_strategy, lc_transform_code, lc_order)
VALUES (102, 'name', 'Name', 'text', 'Y', 'N', 'N', 'Y', 'Gitlab api - branches', 'name', 'Described by hand', 'lower(name)', 20);
GO
INSERT INTO dbo.ws_stage_tab (st_obj_key, st_table_name) VALUES (201, 'stage_hubspot_company_voys');
GO
INSERT INTO dbo.ws_stage_col (sc_obj_key, sc_col_name, sc_data_type, sc_order) VALUES (201, 'hs_object_id', 'bigint', 10), (201, 'name', 'text', 20), (201, 'client_id', 'numeric', 30), (201, 'dss_update_time', 'timestamp', 50);
GO
INSERT INTO dbo.ws_fact_tab (ft_obj_key, ft_table_name) VALUES (301, 'fact_call'), (302, 'fact_without_dimension');
GO
INSERT INTO dbo.ws_fact_col (fc_obj_key, fc_col_name, fc_data_type, fc_key_type, fc_order)
VALUES (301, 'dim_client_key', 'integer', '2', 10), (301, 'dim_date_key', 'integer', '2', 20), (301, 'seconds', 'integer', NULL, 30), (302, 'amount', 'numeric', NULL, 10);
GO
INSERT INTO dbo.dss_parameter (dss_parameter_name, dss_parameter_value, dss_parameter_comment)
VALUES ('gitlab_high_water_mark', '', 'written by the last step of the job'), ('jira_high_water_mark', '2024-05-01 10:00', NULL), ('hubspot_access_token_voys', 'not-a-token', 'portal voys');
GO
INSERT INTO dbo.ws_wrk_task_run (wtr_job_key, wtr_task_key, wtr_sequence, wtr_name, wtr_run_status) VALUES (9999, 6666, 1234, 'load_jira_issue', 'R');
GO
INSERT INTO dbo.ws_wrk_job_log (wjl_job, wjl_sequence, wjl_completed) VALUES ('nightly', 1, DATEADD(day, -400, CURRENT_TIMESTAMP)), ('nightly', 2, DATEADD(day, -1, CURRENT_TIMESTAMP));
GO
