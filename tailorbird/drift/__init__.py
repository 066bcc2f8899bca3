"""The accuracy of a served model from counters and labels; imports only numpy and no room."""
