"""Link types, encapsulations, IP and TCP headers: tables and readable twins of the decoder."""
